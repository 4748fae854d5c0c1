// In which projects someone holds a permission, and who is behind an id.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import type { User } from '../../../core/contract/index.ts'
import { addProject, assign, bumpEpoch, counting, openHouse, origin, signInAs } from '../fixture.ts'

const nowhere = { isEverywhere: false, projectIds: [] }

test('roles and delegations say where; it agrees with can, before and after each of them ends', async (t) => {
  const house = await openHouse(t)
  const asked = counting(house.postgres)
  const { access, authenticate } = await house.openRoom({ postgres: asked.postgres })
  const [ada, eve] = [await house.addUser('ada'), await house.addUser('eve')]
  const [boat, ship, raft] = [await addProject(house, 'boat'), await addProject(house, 'ship'), await addProject(house, 'raft')]
  const reach = async (user: User | string, permission = 'alert:manage'): Promise<unknown> => {
    const { isEverywhere, projectIds } = await access.projectsWith(user, permission)
    const who = typeof user === 'string' ? user : user.id
    if (typeof user === 'string') {
      for (const project of [boat, ship, raft]) {
        assert.equal(await access.can(who, permission, project), isEverywhere || projectIds.includes(project))
      }
    }
    return { isEverywhere, projectIds: projectIds.toSorted() }
  }
  assert.deepEqual([await reach(ada), await reach(randomUUID()), await reach(ada, 'no:such')], [nowhere, nowhere, nowhere])
  await assign(house, ada, 'ops', boat)
  await assign(house, ada, 'ops', ship)
  await bumpEpoch(house)
  const { user: adaHere } = await signInAs({ access, authenticate } as never, 'ada')
  const both = { isEverywhere: false, projectIds: [boat, ship].toSorted() }
  const before = asked.count
  assert.deepEqual(await access.projectsWith(adaHere, 'alert:manage').then(({ projectIds }) => projectIds.toSorted()), both.projectIds)
  assert.equal(asked.count, before + 1, 'one query')
  assert.deepEqual(await reach(ada), both)

  // What Ada lends in the boat counts for an hour, and while she holds it.
  const lent = await access.delegations.grant(adaHere, {
    delegateId: eve, permission: 'alert:manage', projectId: boat, expiresAt: new Date(house.clock.now() + 3_600_000).toISOString()
  }, origin)
  assert.equal(lent.isEffective, true)
  assert.deepEqual(await reach(eve), { isEverywhere: false, projectIds: [boat] })
  await house.clock.advance(3_600_001)
  assert.deepEqual(await reach(eve), nowhere)
  await access.delegations.grant(adaHere, { delegateId: eve, permission: 'alert:manage', projectId: boat }, origin)
  assert.deepEqual(await reach(eve), { isEverywhere: false, projectIds: [boat] })
  await house.rows('delete from user_roles where user_id = $1 and project_id = $2', [ada, boat])
  await bumpEpoch(house)
  assert.deepEqual([await reach(eve), await reach(ada)], [nowhere, { isEverywhere: false, projectIds: [ship] }])

  await assign(house, eve, 'ops')
  await bumpEpoch(house)
  assert.deepEqual(await reach(eve), { isEverywhere: true, projectIds: [] })
  await house.rows('update users set is_active = false where id = $1', [eve])
  await bumpEpoch(house)
  assert.deepEqual(await reach(eve), nowhere)
})

test('a token reaches no further than its scopes and its project', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { access } = room
  const [boat, ship] = [await addProject(house, 'boat'), await addProject(house, 'ship')]
  const { user: admin } = await signInAs(room, 'admin')
  const behind = async (parts: { scopes: string[], projectId?: string }): Promise<User> => {
    const { token } = await access.createToken(admin, { name: 'ci', expiresInDays: 1, ...parts }, origin)
    const user = await room.authenticate(token)
    assert.ok(user)
    return user
  }
  const [reader, bound, elsewhere] = [
    await behind({ scopes: ['project:read'] }), await behind({ scopes: [], projectId: boat }), await behind({ scopes: ['alert:manage'], projectId: ship })
  ]
  assert.deepEqual([await access.projectsWith(reader, 'project:read'), await access.projectsWith(reader, 'project:write')],
    [{ isEverywhere: true, projectIds: [] }, nowhere])
  assert.deepEqual(await access.projectsWith(bound, 'project:read'), { isEverywhere: false, projectIds: [boat] })
  assert.deepEqual(await access.projectsWith(elsewhere, 'project:read'), nowhere)
  assert.deepEqual([...await access.permissionsOf(reader, boat)], ['project:read'])
  assert.deepEqual([...await access.permissionsOf(elsewhere, boat)], [])
  assert.deepEqual((await access.permissionsOf(admin.id, boat)).has('admin:users'), true)
})

test('people are named by their ids; nobody is not', async (t) => {
  const house = await openHouse(t)
  const { access } = await house.openRoom()
  const ada = await house.addUser('ada')
  await house.rows('update users set is_active = false, display_name = $2 where id = $1', [ada, 'Ada'])
  assert.deepEqual([...await access.people([ada, ada, randomUUID()])], [[ada, { id: ada, name: 'ada', displayName: 'Ada', isActive: false }]])
  assert.equal((await access.people([])).size, 0)
})
