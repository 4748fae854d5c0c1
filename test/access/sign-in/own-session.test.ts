// A user's own sessions.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { NotFound } from '../../../core/contract/index.ts'
import { adminPassword, openHouse, origin, signIn, signInAs } from '../fixture.ts'

const page = { limit: 50, offset: 0 }

test('a user\'s sessions are listed without tokens or ended ones, and the current one is marked', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  await signIn(room)
  await house.clock.advance(7 * 3_600_000)
  const { user } = await signIn(room)
  const { items, total } = await room.access.sessions.list(user, page)
  assert.equal(total, 2)
  assert.deepEqual(items.map(({ isCurrent, address, userAgent }) => [isCurrent, address, userAgent]),
    [[true, origin.address, origin.userAgent], [false, origin.address, origin.userAgent]])
  assert.deepEqual(Object.keys(items[0] ?? {}).sort(), ['address', 'createdAt', 'expiresAt', 'id', 'isCurrent', 'userAgent'])
  assert.deepEqual(await room.access.sessions.find(user, items[1]?.id ?? ''), items[1])
  await house.clock.advance(3_600_000)
  assert.equal((await room.access.sessions.list(user, page)).total, 1)
})

test('a user ends a session on all replicas at once, and cannot see or end that of another user', async (t) => {
  const house = await openHouse(t)
  const [room, other] = [await house.openRoom(), await house.openRoom()]
  await house.addUser('ada')
  const { user } = await signIn(room)
  const lost = await signIn(other)
  const { user: ada } = await signInAs(room, 'ada')
  const { id } = lost.user.signedInBy
  await assert.rejects(room.access.sessions.end(ada, id, origin), NotFound)
  await assert.rejects(room.access.sessions.find(ada, id), NotFound)
  await assert.rejects(room.access.sessions.end(user, randomUUID(), origin), NotFound)
  assert.ok(await other.authenticate(lost.token))
  await room.access.sessions.end(user, id, origin)
  assert.equal(await room.authenticate(lost.token), undefined)
  await house.clock.advance(1_000)
  assert.equal(await other.authenticate(lost.token), undefined)
  assert.deepEqual(await house.rows('select actor_name, resource_id from audit_log where action = \'session.end\''), [{ actor_name: 'admin', resource_id: id }])
})

test('all are ended, this one too, and nobody else\'s', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  await house.addUser('ada')
  const [first, second, ada] = [await signIn(room), await signIn(room), await signInAs(room, 'ada')]
  await room.access.sessions.endAll(first.user, origin)
  assert.deepEqual([await room.authenticate(first.token), await room.authenticate(second.token)], [undefined, undefined])
  assert.ok(await room.authenticate(ada.token))
  await room.access.login({ name: 'admin', password: adminPassword }, origin)
})
