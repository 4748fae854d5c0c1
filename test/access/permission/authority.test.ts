// What may be granted, and which projects one may know of when one grants.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { BadRequest, Forbidden } from '../../../core/contract/index.ts'
import type { User, ValidationFailed } from '../../../core/contract/index.ts'
import { assign, bumpEpoch, openTestValkey, origin } from '../fixture.ts'
import { cast, makeRole, roleId, someone, throughToken } from '../people.ts'

test('whoever manages roles grants what they hold by a role, there, and nothing else', async (t) => {
  const scene = await cast(t)
  const { house, room, admin, boat, ship } = scene
  const { roles } = room.access
  await makeRole(house, 'keeper', ['admin:roles'])
  const keeper = await someone(scene, 'keeper-1', 'keeper', 'viewer')
  const bob = await house.addUser('bob')
  const idOf = (name: string): Promise<string> => roleId(house, name)
  for (const target of [bob, keeper.id]) {
    await assert.rejects(async () => roles.assign(keeper, target, { roleId: await idOf('admin') }, origin), Forbidden)
    await assert.rejects(async () => roles.assign(keeper, target, { roleId: await idOf('ops'), projectId: boat }, origin), Forbidden)
  }
  await roles.assign(keeper, bob, { roleId: await idOf('viewer') }, origin)
  await roles.assign(keeper, bob, { roleId: await idOf('keeper'), projectId: boat }, origin)

  // In a project one grants what one holds there.
  await assign(house, keeper.id, 'ops', boat)
  await bumpEpoch(house)
  await roles.assign(keeper, bob, { roleId: await idOf('ops'), projectId: boat }, origin)
  for (const projectId of [ship, undefined]) await assert.rejects(async () => roles.assign(keeper, bob, { roleId: await idOf('ops'), projectId }, origin), Forbidden)

  // A role gains what its changer holds everywhere; what it has stays, and may be taken away.
  const made = await roles.create(keeper, { name: 'made' }, origin)
  await roles.setPermissions(keeper, made.id, ['project:read', 'admin:roles'], origin)
  for (const more of ['secret:reveal', 'alert:manage', 'admin:users']) {
    await assert.rejects(roles.setPermissions(keeper, made.id, ['project:read', more], origin), Forbidden)
  }
  assert.deepEqual((await roles.permissionsOf(keeper, made.id)).items.map(({ name }) => name), ['admin:roles', 'project:read'])
  await roles.setPermissions(admin, made.id, ['project:read', 'secret:reveal'], origin)
  await roles.setPermissions(keeper, made.id, ['secret:reveal', 'deploy:read'], origin)
  await roles.setPermissions(keeper, made.id, ['deploy:read'], origin)

  // Neither what was lent nor what the token leaves out is granted on.
  await room.access.delegations.grant(admin, { delegateId: keeper.id, permission: 'agent:run' }, origin)
  await assert.rejects(roles.setPermissions(keeper, made.id, ['agent:run'], origin), Forbidden)
  const narrow = await throughToken(scene, admin, ['admin:roles', 'project:read'])
  await assert.rejects(async () => roles.assign(narrow, bob, { roleId: await idOf('admin') }, origin), Forbidden)
  await assert.rejects(roles.setPermissions(narrow, made.id, ['admin:users'], origin), Forbidden)
  await roles.setPermissions(narrow, made.id, ['project:read', 'admin:roles'], origin)
  await roles.assign(narrow, bob, { roleId: made.id }, origin)
})

test('what grants or reveals is never lent, and a loan of it from before counts for nothing', async (t) => {
  const scene = await cast(t)
  const { house, room, admin, boat } = scene
  const bob = await someone(scene, 'bob')
  const strong = ['admin:users', 'admin:roles', 'admin:delegate', 'secret:reveal', 'host:operate']
  for (const permission of strong) {
    for (const projectId of [undefined, boat]) {
      await assert.rejects(room.access.delegations.grant(admin, { delegateId: bob.id, permission, projectId }, origin), BadRequest)
    }
    await house.rows('insert into delegations (delegator_id, delegate_id, permission_id) select $1, $2, id from permissions where name = $3', [admin.id, bob.id, permission])
  }
  await house.rows('insert into delegations (delegator_id, delegate_id, permission_id) select $1, $2, id from permissions where name = \'alert:manage\'', [admin.id, bob.id])
  await bumpEpoch(house)
  room.forget()
  for (const permission of strong) {
    assert.equal(await room.access.can(bob.id, permission), false, permission)
    assert.deepEqual(await room.access.projectsWith(bob.id, permission), { isEverywhere: false, projectIds: [] })
  }
  assert.equal(await room.access.can(bob.id, 'alert:manage'), true)
  await assert.rejects(room.access.roles.assign(bob, bob.id, { roleId: await roleId(house, 'admin') }, origin), Forbidden)
  const { items } = await room.access.delegations.list(bob, { limit: 50, offset: 0 })
  assert.deepEqual(items.filter(({ isEffective }) => isEffective).map(({ permission }) => permission), ['alert:manage'])
})

test('what a replica of an earlier version cached by its rules counts for nothing', async (t) => {
  const { house } = await cast(t)
  const { host: valkey } = await openTestValkey(t)
  const room = await house.openRoom({ valkey })
  const bob = await house.addUser('bob')
  const [{ value } = { value: 0 }] = await house.rows('select value::int from bulkhead.access_epoch')
  await valkey.set(`perms:${bob}:global`, { epoch: value, permissions: ['admin:roles'], until: null }, { ttlMs: 60_000 })
  assert.equal(await room.access.can(bob, 'admin:roles'), false)
})

test('a token names no scope that grants or reveals, unless its user holds it by a role', async (t) => {
  const scene = await cast(t)
  const ada = await someone(scene, 'ada', 'developer')
  const make = (user: User, scopes: string[]): Promise<unknown> => scene.room.access.createToken(user, { name: 'ci', scopes, expiresInDays: 1 }, origin)
  for (const scope of ['admin:roles', 'secret:reveal', 'host:operate']) await assert.rejects(make(ada, ['project:read', scope]), Forbidden)
  await make(ada, ['project:read'])
  await make(scene.admin, ['admin:roles', 'secret:reveal', 'host:operate'])
})

test('a project one may not know of is answered as one that is not there', async (t) => {
  const scene = await cast(t)
  const { house, room, admin, boat } = scene
  await makeRole(house, 'keeper', ['admin:roles', 'alert:manage'])
  const keeper = await someone(scene, 'keeper-1', 'keeper')
  const stranger = await someone(scene, 'stranger')
  const lent = await someone(scene, 'lent')
  await room.access.delegations.grant(admin, { delegateId: lent.id, permission: 'alert:manage' }, origin)
  const bound = await throughToken(scene, admin, [], scene.ship)
  const alerts = await makeRole(house, 'alerts', ['alert:manage'])
  const empty = await makeRole(house, 'empty', [])
  const [deleted] = await house.rows('insert into projects (name, owner_id, is_active) values (\'gone\', $1, false) returning id', [admin.id])
  const delegateId = await house.addUser('victim')
  const asks: Readonly<Record<string, (user: User, projectId: string) => Promise<unknown>>> = {
    'a loan of what is held': (user, projectId) => room.access.delegations.grant(user, { delegateId, permission: 'alert:manage', projectId }, origin),
    'a loan of what is not held': (user, projectId) => room.access.delegations.grant(user, { delegateId, permission: 'agent:run', projectId }, origin),
    'a loan of nothing known': (user, projectId) => room.access.delegations.grant(user, { delegateId, permission: 'x:y', projectId }, origin),
    'a token': (user, projectId) => room.access.createToken(user, { name: 'ci', scopes: [], projectId, expiresInDays: 1 }, origin),
    'a role': (user, projectId) => room.access.roles.assign(user, delegateId, { roleId: alerts, projectId }, origin),
    'an empty role': (user, projectId) => room.access.roles.assign(user, delegateId, { roleId: empty, projectId }, origin)
  }
  const answerOf = (work: Promise<unknown>): Promise<unknown> => work.then(() => 'done', (error: unknown) => {
    const { status, message, errors } = error as ValidationFailed
    return { status, message, errors }
  })
  for (const user of [keeper, stranger, lent, bound]) {
    for (const [what, ask] of Object.entries(asks)) {
      // Who holds everywhere what is granted has a part in every project.
      if (user === keeper && ['a loan of what is held', 'a role'].includes(what)) continue
      const nowhere = await answerOf(ask(user, randomUUID()))
      assert.notEqual(nowhere, 'done', what)
      for (const projectId of [boat, String(deleted?.['id'])]) assert.deepEqual(await answerOf(ask(user, projectId)), nowhere, `${what} by ${user.name}`)
    }
  }
  // Those who may know of it are let in.
  assert.equal(await answerOf(asks['a role']?.(keeper, scene.ship) ?? Promise.reject(new Error())), 'done')
  await assign(house, keeper.id, 'viewer', boat)
  await bumpEpoch(house)
  room.forget()
  for (const what of ['a loan of what is held', 'a token', 'a role', 'an empty role']) {
    assert.equal(await answerOf(asks[what]?.(keeper, boat) ?? Promise.reject(new Error(what))), 'done', what)
  }
  await house.rows('update projects set visibility = \'internal\' where id = $1', [boat])
  assert.equal(await answerOf(asks['a token']?.(stranger, boat) ?? Promise.reject(new Error())), 'done')
})
