// What a caller may do in a project: from where, through which token, and how soon a change is seen.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import type { User } from '../../../core/contract/index.ts'
import { addProject, assign, bumpEpoch, counting, openHouse, origin, signInAs } from '../fixture.ts'

const sorted = (permissions: ReadonlySet<string>): string => [...permissions].sort().join(' ')

test('a role in a project counts there and nowhere else; what holds everywhere holds there, too', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const ada = await house.addUser('ada')
  const [boat, ship] = [await addProject(house, 'boat'), await addProject(house, 'ship')]
  await assign(house, ada, 'agent')
  await assign(house, ada, 'ops', boat)
  const { user } = await signInAs(room, 'ada')
  const inBoat = 'alert:manage deploy:promote deploy:read observe:read observe:write secret:read'
  assert.equal(sorted(await room.permissionsIn(user, boat)), inBoat)
  assert.equal(sorted(await room.permissionsIn(user, boat.toUpperCase())), inBoat)
  for (const other of [ship, randomUUID(), 'no-uuid', '', '\0']) assert.equal(sorted(await room.permissionsIn(user, other)), '')
  assert.equal(sorted(user.permissions), '')
})

test('a token narrows to its scopes and its project', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const [boat, ship] = [await addProject(house, 'boat'), await addProject(house, 'ship')]
  const { user: admin } = await signInAs(room, 'admin')
  const behind = async (parts: { scopes: string[], projectId?: string }): Promise<User> => {
    const { token } = await room.access.createToken(admin, { name: 'ci', expiresInDays: 1, ...parts }, origin)
    const user = await room.authenticate(token)
    assert.ok(user)
    return user
  }
  const reader = await behind({ scopes: ['secret:read'] })
  assert.equal(sorted(await room.permissionsIn(reader, boat)), 'secret:read')
  const bound = await behind({ scopes: ['secret:read', 'deploy:read'], projectId: boat })
  assert.equal(sorted(await room.permissionsIn(bound, boat)), 'deploy:read secret:read')
  for (const other of [ship, 'no-uuid', '']) assert.equal(sorted(await room.permissionsIn(bound, other)), '')
})

test('what is known is answered in the same turn and without the database, for a second', async (t) => {
  const house = await openHouse(t)
  const asked = counting(house.postgres)
  const room = await house.openRoom({ postgres: asked.postgres })
  const boat = await addProject(house, 'boat')
  const { user } = await signInAs(room, 'admin')
  const found = await room.permissionsIn(user, boat)
  const before = asked.count
  await house.clock.advance(999)
  assert.equal(room.permissionsIn(user, boat), found)
  assert.equal(asked.count, before)
  await house.clock.advance(1)
  await Promise.all(Array.from({ length: 100 }, async () => room.permissionsIn(user, boat)))
  assert.equal(asked.count, before + 1, 'a hundred at once ask once')
})

test('a lookup that takes long is not joined by those who ask a second after it began', async (t) => {
  const house = await openHouse(t)
  let open = (): void => undefined
  const gate = new Promise<void>(resolve => { open = resolve })
  let isHeld = false
  const postgres = new Proxy(house.postgres, {
    get: (target, method: keyof typeof house.postgres) => async (...args: unknown[]) => {
      const answer = await (target[method] as (...args: unknown[]) => Promise<unknown>)(...args)
      if (isHeld) await gate
      return answer
    }
  })
  const room = await house.openRoom({ postgres })
  const boat = await addProject(house, 'boat')
  const { user, token } = await signInAs(room, 'admin')
  await house.clock.advance(1_000)

  isHeld = true
  const slow = [Promise.resolve(room.permissionsIn(user, boat)), Promise.resolve(room.authenticate(token))]
  await house.rows('select pg_sleep(0.1)')
  isHeld = false
  await house.rows('delete from user_roles')
  await house.rows('update users set is_active = false')
  await bumpEpoch(house)
  await house.clock.advance(1_000)
  assert.equal(sorted(await room.permissionsIn(user, boat)), '')
  assert.equal(await room.authenticate(token), undefined)
  open()
  await Promise.all(slow)
  assert.equal(sorted(await room.permissionsIn(user, boat)), '', 'what came in late is not kept')
  assert.equal(await room.authenticate(token), undefined)
})
