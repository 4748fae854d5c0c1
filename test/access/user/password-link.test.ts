// A link by which users set a new password themselves.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { AccessModule } from '../../../core/access/index.ts'
import { Conflict, Forbidden, NotFound, TooManyRequests, Unauthorized, ValidationFailed } from '../../../core/contract/index.ts'
import type { User } from '../../../core/contract/index.ts'
import { adminPassword, assign, bumpEpoch, openHouse, origin, signIn, signInAs } from '../fixture.ts'
import type { House } from '../fixture.ts'

interface Cast { house: House, room: AccessModule, clerk: User, admin: User }

/** A clerk who may manage users and nothing else, and an admin. */
async function cast (t: TestContext): Promise<Cast> {
  const house = await openHouse(t)
  const room = await house.openRoom()
  await house.rows('insert into roles (name) values (\'helpdesk\')')
  await house.rows('insert into role_permissions select r.id, p.id from roles r, permissions p where r.name = \'helpdesk\' and p.name = \'admin:users\'')
  await assign(house, await house.addUser('clerk'), 'helpdesk')
  await bumpEpoch(house)
  return { house, room, clerk: (await signInAs(room, 'clerk')).user, admin: (await signIn(room)).user }
}

const password = 'chosen by the user'

test('a link sets the password of a user who holds more, once, and ends the sessions', async (t) => {
  const { house, room, clerk, admin } = await cast(t)
  const { users } = room.access
  const session = await signIn(room)
  const { token: ci } = await room.access.createToken(admin, { name: 'ci', scopes: [], expiresInDays: 1 }, origin)
  const { token, contact, expiresAt } = await users.createPasswordLink(clerk, admin.id, origin)
  assert.deepEqual([contact.email, Date.parse(expiresAt) - house.clock.now()], ['admin@localhost', 3_600_000])
  await room.access.login({ name: 'admin', password: adminPassword }, origin)

  await assert.rejects(users.setPasswordByLink({ token, password: 'short' }, origin), ValidationFailed)
  const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => users.setPasswordByLink({ token, password }, origin)))
  assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1, 'once, however many come at once')
  for (const outcome of outcomes) if (outcome.status === 'rejected') assert.ok(outcome.reason instanceof Unauthorized, String(outcome.reason))
  await assert.rejects(users.setPasswordByLink({ token, password }, origin), Unauthorized)
  assert.equal(await room.authenticate(session.token), undefined)
  assert.ok(await room.authenticate(ci))
  await assert.rejects(room.access.login({ name: 'admin', password: adminPassword }, origin), Unauthorized)
  await room.access.login({ name: 'admin', password }, origin)

  const log = await house.rows('select actor_name, action, detail ->> \'by\' as by from audit_log where resource = \'user\' order by created_at')
  assert.deepEqual(log.filter(({ action }) => String(action).startsWith('user.')),
    [{ actor_name: 'clerk', action: 'user.password_link', by: null }, { actor_name: 'admin', action: 'user.password', by: 'link' }])
  const stored = JSON.stringify([await house.rows('select * from bulkhead.password_link'), await house.rows('select * from audit_log')])
  assert.ok(!stored.includes(token.slice(10)), 'the token is stored nowhere')

  const again = await users.createPasswordLink(clerk, admin.id, origin)
  await users.setPasswordByLink({ token: again.token, password, revokeTokens: true }, origin)
  assert.equal(await room.authenticate(ci), undefined)
})

test('a link is void after an hour, a newer one and any change of its user, all alike', async (t) => {
  const { house, room, clerk, admin } = await cast(t)
  const { users } = room.access
  const ends: Readonly<Record<string, (id: string) => Promise<unknown>>> = {
    'a newer link': id => users.createPasswordLink(clerk, id, origin),
    'another password': id => users.change(admin, id, { password: 'set by the admin' }, origin),
    'another e-mail address': id => users.change(admin, id, { email: `other-${id}@example.org` }, origin),
    'being deactivated': id => users.deactivate(admin, id, origin),
    'being deactivated and back': async id => { await users.deactivate(admin, id, origin); await users.change(admin, id, { isActive: true }, origin) },
    'a change that another version of the host made': id => house.rows('update users set password_hash = password_hash where id = $1', [id]),
    'an hour': () => house.clock.advance(3_600_000)
  }
  const answers = new Set<string>()
  const refused = async (token: string, why: string): Promise<void> => {
    await assert.rejects(users.setPasswordByLink({ token, password }, origin), (error: unknown) => {
      assert.ok(error instanceof Unauthorized, why)
      answers.add(error.message)
      return true
    })
  }
  for (const [why, end] of Object.entries(ends)) {
    const id = await house.addUser(`user-${why.replaceAll(/\W/g, '')}`)
    const { token } = await users.createPasswordLink(clerk, id, origin)
    await end(id)
    await refused(token, why)
  }
  await refused(`plat_link_${'0'.repeat(64)}`, 'one that was never made')
  for (const token of ['', 'x', 'plat_link_', '\0']) await refused(token, 'no link')
  assert.equal(answers.size, 1)
})

test('links need admin:users and an active user, and are limited, as are attempts', async (t) => {
  const { house, room, clerk, admin } = await cast(t)
  const { users } = room.access
  const ada = await house.addUser('ada')
  const { user } = await signInAs(room, 'ada')
  await assert.rejects(users.createPasswordLink(user, ada, origin), Forbidden)
  await assert.rejects(users.createPasswordLink(clerk, '0192f0c1-2a3b-7c4d-8e5f-60718293a4b5', origin), NotFound)
  for (let count = 0; count < 5; count++) await users.createPasswordLink(clerk, ada, origin)
  await assert.rejects(users.createPasswordLink(admin, ada, origin), TooManyRequests)
  await users.deactivate(admin, ada, origin)
  await assert.rejects(users.createPasswordLink(admin, ada, origin), Conflict)

  const wrong = `plat_link_${'1'.repeat(64)}`
  for (let count = 0; count < 10; count++) await assert.rejects(users.setPasswordByLink({ token: wrong, password }, origin), Unauthorized)
  await assert.rejects(users.setPasswordByLink({ token: wrong, password }, origin), TooManyRequests)
  await assert.rejects(users.setPasswordByLink({ token: wrong, password }, { ...origin, address: '198.51.100.1' }), Unauthorized)
})
