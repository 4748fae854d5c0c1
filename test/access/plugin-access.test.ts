// A plugin's handle on access: the users it takes, the users it makes, and how the audit log tells whose doing an entry is.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import type { Access, AuditEntry, User } from '../../core/contract/index.ts'
import { createLog } from '../support/part.ts'
import { addProject, assign, openHouse, origin, signIn, signInAs } from './fixture.ts'

const page = { limit: 50, offset: 0 }
const notRecognised = { code: 'BULKHEAD_USER_NOT_RECOGNISED' }

/** Objects that say all that the user says, and are not the user. */
const forgeries = (user: User): Record<string, User> => ({
  'a copy': { ...user },
  'a deep copy': { ...user, permissions: new Set(user.permissions), signedInBy: { ...user.signedInBy } },
  'parsed JSON': JSON.parse(JSON.stringify(user)) as User,
  'a proxy': new Proxy(user, {}),
  'an heir': Object.create(user) as User,
  'the id alone': { id: user.id, name: user.name } as User,
  nobody: undefined as unknown as User,
  null: null as unknown as User
})

/** Every way to hand a user over, with what else it takes. */
const calls = (access: Access): Record<string, (user: User) => Promise<unknown>> => {
  const id = randomUUID()
  const { audit, sessions, users, roles, delegations } = access
  return {
    can: user => access.can(user, 'admin:users'),
    require: user => access.require(user, 'admin:users'),
    permissionsOf: user => access.permissionsOf(user),
    projectsWith: user => access.projectsWith(user, 'admin:users'),
    isSignedIn: user => access.isSignedIn(user),
    logout: user => access.logout(user, origin),
    createToken: user => access.createToken(user, { name: 'x', scopes: [], expiresInDays: 1 }, origin),
    listTokens: user => access.listTokens(user, page),
    revokeToken: user => access.revokeToken(user, id, origin),
    revokeTokens: user => access.revokeTokens(user, origin),
    'audit.find': user => audit.find(user, {}, page),
    'sessions.list': user => sessions.list(user, page),
    'sessions.find': user => sessions.find(user, id),
    'sessions.end': user => sessions.end(user, id, origin),
    'sessions.endAll': user => sessions.endAll(user, origin),
    'users.create': user => users.create(user, { name: 'eve', email: 'eve@localhost', password: 'a good password' }, origin),
    'users.list': user => users.list(user, page),
    'users.find': user => users.find(user, id),
    'users.change': user => users.change(user, id, { password: 'another password' }, origin),
    'users.deactivate': user => users.deactivate(user, id, origin),
    'users.createPasswordLink': user => users.createPasswordLink(user, id, origin),
    'roles.list': user => roles.list(user, page),
    'roles.create': user => roles.create(user, { name: 'x' }, origin),
    'roles.change': user => roles.change(user, id, { name: 'x' }, origin),
    'roles.remove': user => roles.remove(user, id, origin),
    'roles.permissionsOf': user => roles.permissionsOf(user, id),
    'roles.setPermissions': user => roles.setPermissions(user, id, [], origin),
    'roles.permissions': user => roles.permissions(user, page),
    'roles.assignmentsOf': user => roles.assignmentsOf(user, id, page),
    'roles.assign': user => roles.assign(user, id, { roleId: id }, origin),
    'roles.unassign': user => roles.unassign(user, id, { roleId: id }, origin),
    'delegations.grant': user => delegations.grant(user, { delegateId: id, permission: 'project:read' }, origin),
    'delegations.list': user => delegations.list(user, page),
    'delegations.revoke': user => delegations.revoke(user, id, origin)
  }
}
const questions = new Set(['can', 'require', 'permissionsOf', 'projectsWith'])

test('every method that takes a user refuses a look-alike that the host did not create', async t => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { user } = await signIn(room)
  const access = room.accessFor('invoices')
  const before = await house.rows('select count(*)::int as entries from audit_log')
  for (const [method, call] of Object.entries(calls(access))) {
    for (const [kind, forged] of Object.entries(forgeries(user))) {
      await assert.rejects(call(forged), { ...notRecognised, message: new RegExp(`^Plugin "invoices" called access\\.${method.replace('.', '\\.')} with `) }, kind)
    }
  }
  assert.deepEqual(await house.rows('select count(*)::int as entries from audit_log'), before)
  assert.equal(await access.can(user, 'admin:users'), true)
  assert.equal((await access.listTokens(user, page)).total, 0)
})

test('every method of the handle that could take a user is among those above', async t => {
  const access = (await (await openHouse(t)).openRoom()).accessFor('invoices')
  const others = new Set(['people', 'contact', 'asUser', 'login', 'users.setPasswordByLink', 'audit.record'])
  const names = Object.entries(access).flatMap(([name, value]) =>
    typeof value === 'function' ? [name] : Object.keys(value as object).map(method => `${name}.${method}`))
  assert.deepEqual(names.filter(name => !others.has(name)).sort(), Object.keys(calls(access)).sort())
})

test('nothing of a user can be changed, so no plugin makes another see more than there is', async t => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const projectId = await addProject(house, 'boat')
  await assign(house, await house.addUser('ada'), 'viewer')
  const { user, token } = await signInAs(room, 'ada')
  const inProject = await room.accessFor('invoices').permissionsOf(user, projectId)
  for (const change of [
    () => { Object.assign(user, { id: randomUUID() }) },
    () => { Object.assign(user.signedInBy, { id: randomUUID() }) },
    () => { Object.defineProperty(user, 'permissions', { value: new Set(['admin:users']) }) },
    () => { (user.permissions as Set<string>).add('admin:users') },
    () => { Set.prototype.add.call(user.permissions, 'admin:users') },
    () => { Set.prototype.add.call(inProject, 'project:delete') },
    () => { Object.defineProperty(user.permissions, 'has', { value: () => true }) },
    () => { Object.assign(Object.getPrototypeOf(user.permissions) as object, { has: () => true }) }
  ]) assert.throws(change, TypeError)
  assert.equal(await room.authenticate(token), user)
  assert.equal(user.permissions.has('admin:users'), false)
  assert.equal((await room.permissionsIn(user, projectId)).has('project:delete'), false)
  assert.deepEqual([...user.permissions].sort(), [...new Set(user.permissions).union(user.permissions)].sort())
  const created = await room.accessFor('identity').createToken(user, { name: 'ci', scopes: ['project:read'], expiresInDays: 1 }, origin)
  const byToken = await room.authenticate(created.token)
  assert.ok(byToken?.signedInBy.kind === 'token')
  const { scopes } = byToken.signedInBy
  assert.throws(() => { (scopes as string[]).push('admin:users') }, TypeError)
})

test('a user from asUser is asked about as the user is now, and administers nothing', async t => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const access = room.accessFor('invoices')
  const [projectId, ada] = [await addProject(house, 'boat'), await house.addUser('ada')]
  await assign(house, ada, 'admin')
  const acting = await access.asUser(ada)
  assert.ok(acting)
  assert.deepEqual([acting.id, acting.name, acting.actingPlugin, acting.permissions.has('admin:users')], [ada, 'ada', 'invoices', true])
  assert.equal(await access.can(acting, 'project:delete', projectId), true)
  assert.equal((await access.projectsWith(acting, 'project:read')).isEverywhere, true)
  for (const [method, call] of Object.entries(calls(access)).filter(([name]) => !questions.has(name))) {
    await assert.rejects(call(acting as unknown as User), { ...notRecognised, message: /from asUser: this needs the user of a request/ }, method)
  }
  await assert.rejects(access.can({ ...acting }, 'admin:users'), notRecognised)
  assert.throws(() => { Object.assign(acting, { id: randomUUID() }) }, TypeError)

  await house.rows('update users set is_active = false where id = $1', [ada])
  await house.rows('update bulkhead.access_epoch set value = value + 1')
  assert.equal(await access.can(acting, 'project:delete', projectId), false)
  assert.equal(await access.asUser(ada), undefined)
  assert.equal(await access.asUser(randomUUID()), undefined)
})

test('a user of a finished request is accepted, warned of once and audited as the plugin\'s act', async (t) => {
  const house = await openHouse(t)
  const logged: object[] = []
  let callerId: string | undefined
  const room = await house.openRoom({ log: createLog(logged), findCallerId: () => callerId })
  const { user } = await signIn(room)
  const access = room.accessFor('invoices')
  const token = (name: string): Promise<unknown> => access.createToken(user, { name, scopes: [], expiresInDays: 1 }, origin)
  callerId = user.id
  await token('own')
  assert.deepEqual(logged, [])
  for (callerId of [undefined, randomUUID()]) {
    await token('kept')
    await house.postgres.transaction(tx => access.audit.record(tx, { actor: user, action: 'invoice.pay', resource: 'invoice' }))
  }
  assert.deepEqual(logged.map(({ message, ...rest }: { message?: string }) => [rest, message?.slice(0, 56)]), [
    [{ plugin: 'invoices', method: 'createToken', user: 'admin' }, 'plugin "invoices" called access.createToken as "admin", ']
  ])
  callerId = user.id
  const { items } = await access.audit.find(user, {}, page)
  const marked = items.filter(({ action }) => action !== 'auth.login').map(({ action, isByPlugin }) => [action, isByPlugin])
  assert.deepEqual(marked.reverse(), [
    ['token.create', false], ['token.create', true], ['invoice.pay', true], ['token.create', true], ['invoice.pay', true]
  ])
})

test('an entry names its plugin, and says when no request of the actor led to it', async t => {
  const house = await openHouse(t)
  const logged: object[] = []
  const room = await house.openRoom({ log: createLog(logged) })
  const { user } = await signIn(room)
  const access = room.accessFor('invoices')
  const acting = await access.asUser(user.id)
  const record = (action: string, entry: Pick<AuditEntry, 'actor'>): Promise<void> =>
    house.postgres.transaction(tx => access.audit.record(
      tx, Object.defineProperties({ action, resource: 'invoice' }, Object.getOwnPropertyDescriptors(entry)) as AuditEntry
    ))
  let reads = 0
  await record('a.request', { actor: user })
  await record('b.task', { actor: undefined })
  await record('c.acting', { actor: acting })
  assert.deepEqual(logged, [])
  await record('d.copy', { actor: { id: user.id, name: user.name } })
  await record('e.proxy', { actor: new Proxy(user, {}) })
  await record('f.getter', { get actor () { reads++; return reads === 1 ? user : { id: randomUUID(), name: 'mallory' } } })
  await room.access.audit.record(house.postgres, { actor: undefined, action: 'g.host', resource: 'host' })
  await room.accessFor('identity').createToken(user, { name: 'ci', scopes: [], expiresInDays: 1 }, origin)

  const { items } = await access.audit.find(user, {}, page)
  assert.deepEqual(items.map(({ action, actorName, plugin, isByPlugin }) => [action, actorName, plugin, isByPlugin]).reverse(), [
    ['auth.login', 'admin', null, false],
    ['a.request', 'admin', 'invoices', false],
    ['b.task', 'host', 'invoices', false],
    ['c.acting', 'admin', 'invoices', true],
    ['d.copy', 'admin', 'invoices', true],
    ['e.proxy', 'admin', 'invoices', true],
    ['f.getter', 'admin', 'invoices', false],
    ['g.host', 'host', null, false],
    ['token.create', 'admin', 'identity', false]
  ])
  const { total, items: [only] } = await access.audit.find(user, { plugin: 'identity' }, page)
  assert.deepEqual([total, only?.action], [1, 'token.create'])
  assert.equal(logged.length, 1, 'one warning of actors that were made up')
  assert.match(JSON.stringify(logged), /"plugin \\"invoices\\" writes \\"d\.copy\\" into the audit log with an actor that is not the user/)
})
