// The first start on an empty database, and every start after it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FirstAdminRefused, firstRun, prepareAccess } from '../../../core/access/index.ts'
import { clock, createLog } from '../../support/part.ts'
import { cheapPasswords as passwords, openDatabase } from '../fixture.ts'

const log = createLog()
const admin = { name: 'ada', email: undefined, password: 'correct horse battery' }

test('ten hosts that start at once on an empty database make one admin', async (t) => {
  const { connect, rows } = await openDatabase(t)
  const hosts = await Promise.all(Array.from({ length: 10 }, async () => connect()))
  const runs = await Promise.all(hosts.map(async (postgres) => {
    await prepareAccess(postgres)
    return firstRun(postgres, { admin: { ...admin, password: undefined }, requirePassword: false, log, clock, passwords })
  }))
  assert.equal(runs.filter(({ created }) => created).length, 1)
  assert.equal(runs.filter(({ password }) => password !== undefined).length, 1, 'only the host that made it knows the password')
  assert.deepEqual(await rows('select (select count(*)::int from users) as users, (select count(*)::int from user_roles) as roles'), [{ users: 1, roles: 1 }])
})

test('the first run creates the system roles, their permissions and an admin who may do all', async (t) => {
  const { postgres, rows } = await openDatabase(t)
  await prepareAccess(postgres)
  assert.deepEqual(await firstRun(postgres, { admin, requirePassword: true, log, clock }), { created: true })

  const held = await rows(`
    select r.name, coalesce(string_agg(p.name, ' ' order by p.name), '') as permissions
    from roles r left join role_permissions rp on rp.role_id = r.id left join permissions p on p.id = rp.permission_id
    where r.is_system group by r.name
  `)
  assert.deepEqual(Object.fromEntries(held.map(({ name, permissions }) => [String(name), permissions])), {
    admin: 'admin:delegate admin:roles admin:users agent:run alert:manage deploy:promote deploy:read observe:read observe:write ' +
      'project:delete project:read project:write secret:read secret:write',
    developer: 'agent:run deploy:read observe:read project:read project:write secret:read',
    ops: 'alert:manage deploy:promote deploy:read observe:read observe:write secret:read',
    agent: '',
    viewer: 'deploy:read observe:read project:read'
  })
  assert.deepEqual(await rows(`
    select u.name, u.email, u.is_active, r.name as role, ur.project_id
    from users u join user_roles ur on ur.user_id = u.id join roles r on r.id = ur.role_id
  `), [{ name: 'ada', email: 'ada@localhost', is_active: true, role: 'admin', project_id: null }])
  assert.deepEqual(await rows('select action, actor_name, resource from audit_log'), [{ action: 'user.create', actor_name: 'first run', resource: 'user' }])

  const [user] = await rows('select password_hash from users')
  assert.match(String(user?.password_hash), /^\$argon2id\$v=19\$m=65536,p=1,t=3\$/)
})

test('once there is a user nothing is made, asked for or checked', async (t) => {
  const { postgres, connect } = await openDatabase(t)
  await prepareAccess(postgres)
  await firstRun(postgres, { admin, requirePassword: true, log, clock, passwords })

  const readOnly = await connect({ session: '-c default_transaction_read_only=on' })
  await prepareAccess(readOnly)
  assert.deepEqual(await firstRun(readOnly, { admin: { name: '..', email: '', password: undefined }, requirePassword: true, log, clock }), { created: false })
})

test('a password made at random is long, easy to read, and the admin\'s', async (t) => {
  const { postgres, rows } = await openDatabase(t)
  await prepareAccess(postgres)
  const { password = '' } = await firstRun(postgres, { admin: { ...admin, password: undefined }, requirePassword: false, log, clock, passwords })
  assert.match(password, /^[a-km-np-z2-9]{24}$/)
  const [user] = await rows('select password_hash from users')
  assert.equal(await passwords.isRight(password, String(user?.password_hash)), true)
})

test('settings that cannot make an admin are named, all at once, and nothing is written', async (t) => {
  const { postgres, rows } = await openDatabase(t)
  await prepareAccess(postgres)
  const bad = firstRun(postgres, { admin: { name: 'a..b', email: 'nowhere', password: 'short' }, requirePassword: true, log, clock })
  await assert.rejects(bad, (error: unknown) => {
    assert.ok(error instanceof FirstAdminRefused)
    assert.deepEqual(error.problems.map(problem => problem.split(' ')[0]), ['PLATFORM_ADMIN_NAME', 'PLATFORM_ADMIN_EMAIL', 'PLATFORM_ADMIN_PASSWORD'])
    assert.ok(!error.message.includes('short'), 'no password is shown')
    return true
  })
  const none = firstRun(postgres, { admin: { ...admin, password: undefined }, requirePassword: true, log, clock })
  await assert.rejects(none, /PLATFORM_ADMIN_PASSWORD is not set/)
  assert.deepEqual(await rows('select count(*)::int as roles from roles'), [{ roles: 0 }])
})
