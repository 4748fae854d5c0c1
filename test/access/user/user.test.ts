// Users: made, changed and shut out by administrators; what users change of themselves.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { Conflict, Forbidden, NotFound, TooManyRequests, Unauthorized, ValidationFailed } from '../../../core/contract/index.ts'
import { adminPassword, assign, bumpEpoch, openHouse, origin, signIn, signInAs } from '../fixture.ts'

const page = { limit: 50, offset: 0 }
const newUser = { name: 'grace', email: 'grace@example.org', password: 'correct horse battery', displayName: 'Grace' }

test('a user is made, found, listed by name, and signs in', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { user: admin } = await signIn(room)
  const { users } = room.access
  const { id, createdAt, updatedAt, ...made } = await users.create(admin, newUser, origin)
  assert.deepEqual(made, { name: 'grace', email: 'grace@example.org', displayName: 'Grace', isActive: true })
  assert.deepEqual(await users.find(admin, id), { id, createdAt, updatedAt, ...made })
  assert.deepEqual((await users.list(admin, page)).items.map(({ name }) => name), ['admin', 'grace'])
  await room.access.login({ name: 'grace', password: newUser.password }, origin)
  const [row] = await house.rows('select detail from audit_log where action = \'user.create\'')
  assert.deepEqual(row?.detail, { name: 'grace', email: 'grace@example.org' })
})

test('a taken name or e-mail address is a conflict that says which; a malformed one is named', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { user: admin } = await signIn(room)
  const { users } = room.access
  const { id } = await users.create(admin, newUser, origin)
  await assert.rejects(users.create(admin, { ...newUser, email: 'other@example.org' }, origin), (error: unknown) => error instanceof Conflict && /name/.test(error.message))
  await assert.rejects(users.create(admin, { ...newUser, name: 'other' }, origin), (error: unknown) => error instanceof Conflict && /e-mail/.test(error.message))
  await assert.rejects(users.change(admin, id, { name: 'admin' }, origin), Conflict)
  await users.change(admin, id, { name: 'grace', email: 'grace@example.org' }, origin)
  for (const name of ['', '.a', 'a.', 'a..b', 'a b', 'a/b', 'é', 'x'.repeat(256), 'a\0']) {
    await assert.rejects(users.create(admin, { name, email: 'x', password: 'short' }, origin), (error: unknown) =>
      error instanceof ValidationFailed && error.errors.map(({ path }) => path).join() === 'body.name,body.email,body.password', JSON.stringify(name))
  }
  const twins = await Promise.allSettled([1, 2].map(() => users.create(admin, { ...newUser, name: 'twin', email: 'twin@example.org' }, origin)))
  assert.deepEqual(twins.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
})

test('users change themselves; a new password needs the current one and ends other sessions', async (t) => {
  const house = await openHouse(t)
  const [room, other] = [await house.openRoom(), await house.openRoom()]
  const ada = await house.addUser('ada')
  const [here, there] = [await signInAs(room, 'ada'), await signInAs(other, 'ada')]
  const change = (input: object): Promise<unknown> => room.access.users.change(here.user, ada, input, origin)
  await change({ displayName: 'Ada L.', email: 'ada@example.org' })
  await assert.rejects(change({ password: 'a new password' }), ValidationFailed)
  await assert.rejects(change({ password: 'a new password', currentPassword: 'not this' }), Forbidden)
  assert.ok(await other.authenticate(there.token))

  await change({ password: 'a new password', currentPassword: adminPassword })
  assert.equal((await room.authenticate(here.token))?.displayName, 'Ada L.')
  await house.clock.advance(1_000)
  assert.equal(await other.authenticate(there.token), undefined)
  await assert.rejects(room.access.login({ name: 'ada', password: adminPassword }, origin), Unauthorized)
  await room.access.login({ name: 'ada', password: 'a new password' }, origin)

  const log = await house.rows('select action, detail from audit_log where actor_name = \'ada\' and action not like \'auth.%\' order by created_at')
  assert.deepEqual(log.map(({ action }) => action), ['user.change', 'user.password', 'session.end'])
  assert.deepEqual((log[0] as { detail: object }).detail, { displayName: { from: null, to: 'Ada L.' }, email: { from: 'ada@localhost', to: 'ada@example.org' } })
})

test('five tries at a password an hour, wrong or right', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const ada = await house.addUser('ada')
  const { user } = await signInAs(room, 'ada')
  const change = (currentPassword: string): Promise<unknown> => room.access.users.change(user, ada, { password: 'a new password', currentPassword }, origin)
  for (let count = 0; count < 5; count++) await assert.rejects(change('wrong password'), Forbidden)
  await assert.rejects(change(adminPassword), TooManyRequests)
  await house.clock.advance(3_600_000)
  await change(adminPassword)
})

test('others are seen and changed with admin:users only, and so is being active', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const ada = await house.addUser('ada')
  const { user: admin } = await signIn(room)
  const { user } = await signInAs(room, 'ada')
  const { users } = room.access
  assert.equal((await users.find(user, ada)).name, 'ada')
  for (const work of [
    () => users.find(user, admin.id), () => users.find(user, randomUUID()), () => users.list(user, page), () => users.create(user, newUser, origin),
    () => users.change(user, admin.id, { displayName: 'x' }, origin), () => users.change(user, ada, { isActive: true }, origin),
    () => users.deactivate(user, ada, origin)
  ]) await assert.rejects(work, Forbidden)
  for (const work of [users.find, users.deactivate]) await assert.rejects(() => work(admin, randomUUID(), origin), NotFound)
  await assert.rejects(users.change(admin, randomUUID(), {}, origin), NotFound)
})

test('where there is no admin any more, users are still deactivated by whoever may', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  await house.rows('insert into roles (name) values (\'helpdesk\')')
  await house.rows('insert into role_permissions select r.id, p.id from roles r, permissions p where r.name = \'helpdesk\' and p.name = \'admin:users\'')
  await assign(house, await house.addUser('ada'), 'helpdesk')
  const bob = await house.addUser('bob')
  await house.rows('delete from user_roles using roles r where r.id = role_id and r.name = \'admin\'')
  await bumpEpoch(house)
  const { user } = await signInAs(room, 'ada')
  await room.access.users.deactivate(user, bob, origin)
})

test('a token with scopes changes nothing about its user, and neither sees nor ends a session', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const ada = await house.addUser('ada')
  const { user } = await signInAs(room, 'ada')
  const behind = async (scopes: string[]): Promise<typeof user> => {
    const { token } = await room.access.createToken(user, { name: 'ci', scopes, expiresInDays: 1 }, origin)
    const found = await room.authenticate(token)
    assert.ok(found)
    return found
  }
  const [narrow, wide] = [await behind(['project:read']), await behind([])]
  await assert.rejects(room.access.users.change(narrow, ada, { email: 'thief@example.org' }, origin), Forbidden)
  await assert.rejects(room.access.sessions.endAll(narrow, origin), Forbidden)
  await assert.rejects(room.access.sessions.list(narrow, page), Forbidden)
  await room.access.users.change(wide, ada, { email: 'ada@example.org' }, origin)
  await room.access.sessions.endAll(wide, origin)
  assert.equal((await room.access.sessions.list(wide, page)).total, 0)
})

test('a deactivated user loses sessions, tokens and delegations at once, and regains none later', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const ada = await house.addUser('ada')
  await assign(house, ada, 'developer')
  const { user: admin } = await signIn(room)
  const session = await signInAs(room, 'ada')
  const { token } = await room.access.createToken(session.user, { name: 'ci', scopes: [], expiresInDays: 1 }, origin)
  assert.ok(await room.authenticate(token))
  await room.access.users.deactivate(admin, ada, origin)
  assert.deepEqual([await room.authenticate(token), await room.authenticate(session.token), await room.access.can(ada, 'project:read')], [undefined, undefined, false])
  await assert.rejects(room.access.createToken(session.user, { name: 'late', scopes: [], expiresInDays: 1 }, origin), Unauthorized, 'a request that was under way')

  await room.access.users.change(admin, ada, { isActive: true }, origin)
  assert.deepEqual([await room.authenticate(token), await room.authenticate(session.token), await room.access.can(ada, 'project:read')], [undefined, undefined, true])
  const log = await house.rows('select action, detail from audit_log where resource = \'user\' order by created_at')
  assert.deepEqual(log, [{ action: 'user.deactivate', detail: { sessions: 1, tokens: 1 } }, { action: 'user.activate', detail: null }])
})
