// What plugins ask: may this user do that, here?

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { Forbidden, NotFound } from '../../../core/contract/index.ts'
import { addProject, assign, bumpEpoch, counting, openHouse, origin, signInAs } from '../fixture.ts'

test('can and require agree: everywhere, in a project, and where one holds nothing', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { access } = room
  const id = await house.addUser('ada')
  const [boat, ship] = [await addProject(house, 'boat'), await addProject(house, 'ship')]
  await assign(house, id, 'ops', boat)
  const { user } = await signInAs(room, 'ada')
  for (const who of [user, id]) {
    assert.deepEqual([await access.can(who, 'alert:manage', boat), await access.can(who, 'alert:manage', ship), await access.can(who, 'alert:manage')], [true, false, false])
    await access.require(who, 'alert:manage', boat)
    await assert.rejects(access.require(who, 'secret:write', boat), Forbidden)
    await assert.rejects(access.require(who, 'alert:manage', ship), NotFound)
    await assert.rejects(access.require(who, 'alert:manage', randomUUID()), NotFound)
    await assert.rejects(access.require(who, 'alert:manage'), Forbidden)
  }
})

test('for a caller it is narrowed to the token, for a user\'s id it is not', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const [boat, ship] = [await addProject(house, 'boat'), await addProject(house, 'ship')]
  const { user: admin } = await signInAs(room, 'admin')
  const { token } = await room.access.createToken(admin, { name: 'ci', scopes: ['secret:read'], projectId: boat, expiresInDays: 1 }, origin)
  const bound = await room.authenticate(token)
  assert.ok(bound)
  const can = (permission: string, project?: string): Promise<boolean> => room.access.can(bound, permission, project)
  assert.deepEqual([await can('secret:read', boat), await can('secret:write', boat), await can('secret:read', ship), await can('secret:read')], [true, false, false, false])
  assert.equal(await room.access.can(bound.id, 'secret:write', ship), true)
})

test('what is known costs no query for a second, and is right a second after a change', async (t) => {
  const house = await openHouse(t)
  const asked = counting(house.postgres)
  const room = await house.openRoom({ postgres: asked.postgres })
  const { user } = await signInAs(room, 'admin')
  await room.access.can(user, 'secret:read')
  const before = asked.count
  for (let index = 0; index < 100; index++) assert.equal(await room.access.can(user, 'secret:read'), true)
  assert.equal(asked.count, before)
  await house.rows('delete from user_roles')
  await bumpEpoch(house)
  await house.clock.advance(1_000)
  assert.equal(await room.access.can(user, 'secret:read'), false)
})
