// Permissions lent to others: who may lend what, and that a loan is worth what its lender holds.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { AccessModule } from '../../../core/access/index.ts'
import { BadRequest, Conflict, Forbidden, NotFound, TooManyRequests, ValidationFailed } from '../../../core/contract/index.ts'
import type { User } from '../../../core/contract/index.ts'
import { addProject, assign, bumpEpoch, openHouse, origin, signInAs } from '../fixture.ts'
import type { House } from '../fixture.ts'

interface Cast { house: House, room: AccessModule, ada: User, bob: User, boat: string, ship: string }

/** Ada works on everything, Bob on nothing. */
async function cast (t: TestContext): Promise<Cast> {
  const house = await openHouse(t)
  const room = await house.openRoom()
  await assign(house, await house.addUser('ada'), 'developer')
  await house.addUser('bob')
  return {
    house, room, ada: (await signInAs(room, 'ada')).user, bob: (await signInAs(room, 'bob')).user,
    boat: await addProject(house, 'boat'), ship: await addProject(house, 'ship')
  }
}

const may = ({ access }: AccessModule, user: User, permission: string, projectId?: string): Promise<boolean> =>
  access.can(user.id, permission, projectId)

test('what is lent in a project counts there, until it is revoked; granting it again works', async (t) => {
  const { room, ada, bob, boat, ship } = await cast(t)
  const input = { delegateId: bob.id, permission: 'agent:run', projectId: boat, reason: 'for a while' }
  const made = await room.access.delegations.grant(ada, input, origin)
  assert.deepEqual([made.delegatorName, made.delegateName, made.permission, made.projectId, made.reason, made.isEffective, made.revokedAt],
    ['ada', 'bob', 'agent:run', boat, 'for a while', true, null])
  const held = await Promise.all([boat, ship, undefined].map(async project => may(room, bob, 'agent:run', project)))
  assert.deepEqual(held, [true, false, false])
  await assert.rejects(room.access.delegations.grant(ada, input, origin), Conflict)

  await room.access.delegations.revoke(ada, made.id, origin)
  assert.equal(await may(room, bob, 'agent:run', boat), false)
  await room.access.delegations.revoke(ada, made.id, origin)
  const again = await room.access.delegations.grant(ada, { ...input, reason: undefined }, origin)
  assert.deepEqual([again.id, again.revokedAt, again.reason, again.isEffective], [made.id, null, null, true])
  assert.equal(await may(room, bob, 'agent:run', boat), true)
})

test('an expired loan may be granted again, one that is still on may not', async (t) => {
  const { house, room, ada, bob } = await cast(t)
  const grant = (lifeMs: number): Promise<unknown> => room.access.delegations.grant(
    ada, { delegateId: bob.id, permission: 'agent:run', expiresAt: new Date(house.clock.now() + lifeMs).toISOString() }, origin)
  await grant(60_000)
  assert.equal(await may(room, bob, 'agent:run'), true)
  await house.clock.advance(59_999)
  await assert.rejects(grant(60_000), Conflict)
  await house.clock.advance(1)
  assert.equal(await may(room, bob, 'agent:run'), false)
  await grant(60_000)
  assert.equal(await may(room, bob, 'agent:run'), true)
})

test('a delegation counts only while its lender holds the permission in the project', async (t) => {
  const { house, room, ada, bob, boat } = await cast(t)
  await room.access.delegations.grant(ada, { delegateId: bob.id, permission: 'agent:run' }, origin)
  await room.access.delegations.grant(ada, { delegateId: bob.id, permission: 'deploy:read', projectId: boat }, origin)
  const held = async (): Promise<boolean[]> => [await may(room, bob, 'agent:run'), await may(room, bob, 'deploy:read', boat)]
  const change = async (query: string): Promise<void> => { await house.rows(query, [ada.id]); await bumpEpoch(house) }
  assert.deepEqual(await held(), [true, true])

  await change('update users set is_active = false where id = $1')
  assert.deepEqual(await held(), [false, false], 'the lender is not active')
  await change('update users set is_active = true where id = $1')
  assert.deepEqual(await held(), [true, true])

  await house.rows('update user_roles set project_id = $2 where user_id = $1', [ada.id, boat])
  await bumpEpoch(house)
  assert.deepEqual(await held(), [false, true], 'the lender holds it in one project only')
  const { items } = await room.access.delegations.list(ada, { limit: 10, offset: 0 })
  assert.deepEqual(items.map(({ permission, isEffective }) => [permission, isEffective]).sort(), [['agent:run', false], ['deploy:read', true]])

  await change('delete from user_roles where user_id = $1')
  assert.deepEqual(await held(), [false, false])
})

test('a user lends neither to themself, nor what they do not hold there, nor a lent permission', async (t) => {
  const { house, room, ada, bob, boat, ship } = await cast(t)
  const grant = (actor: User, input: { delegateId: string, permission: string, projectId?: string }): Promise<unknown> =>
    room.access.delegations.grant(actor, input, origin)
  await assert.rejects(grant(ada, { delegateId: ada.id, permission: 'agent:run' }), BadRequest)
  await assert.rejects(grant(ada, { delegateId: bob.id, permission: 'secret:write' }), Forbidden)
  await assert.rejects(grant(bob, { delegateId: ada.id, permission: 'agent:run' }), Forbidden)

  await house.rows('insert into roles (name) values (\'lender\')')
  await house.rows('insert into role_permissions select r.id, p.id from roles r, permissions p where r.name = \'lender\' and p.name = \'admin:delegate\'')
  await assign(house, bob.id, 'lender')
  await assign(house, bob.id, 'ops', boat)
  await bumpEpoch(house)
  await assert.rejects(grant(bob, { delegateId: ada.id, permission: 'agent:run' }), Forbidden, 'it is no licence to hand out what one does not have')
  await assert.rejects(grant(bob, { delegateId: ada.id, permission: 'alert:manage' }), Forbidden, 'in a project is not everywhere')
  await assert.rejects(grant(bob, { delegateId: ada.id, permission: 'alert:manage', projectId: ship }), Forbidden)
  await grant(bob, { delegateId: ada.id, permission: 'alert:manage', projectId: boat })

  await grant(ada, { delegateId: bob.id, permission: 'agent:run' })
  const carol = await house.addUser('carol')
  await assert.rejects(grant(bob, { delegateId: carol, permission: 'agent:run' }), BadRequest, 'no chains')
  await assert.rejects(grant(bob, { delegateId: carol, permission: 'agent:run', projectId: ship }), BadRequest)
})

test('through a token nobody lends more than the token may', async (t) => {
  const { room, ada, bob, boat } = await cast(t)
  const { token } = await room.access.createToken(ada, { name: 'ci', scopes: ['deploy:read'], expiresInDays: 1 }, origin)
  const narrow = await room.authenticate(token)
  assert.ok(narrow)
  await assert.rejects(room.access.delegations.grant(narrow, { delegateId: bob.id, permission: 'agent:run' }, origin), Forbidden)
  await room.access.delegations.grant(narrow, { delegateId: bob.id, permission: 'deploy:read', projectId: boat }, origin)
})

test('what is wrong with a loan is named, all at once', async (t) => {
  const { house, room, ada } = await cast(t)
  const bad = room.access.delegations.grant(ada, {
    delegateId: randomUUID(), permission: 'boat:sink', projectId: randomUUID(), expiresAt: new Date(house.clock.now()).toISOString(), reason: 'x'.repeat(10_001)
  }, origin)
  await assert.rejects(bad, (error: unknown) => {
    assert.ok(error instanceof ValidationFailed)
    assert.deepEqual(error.errors.map(({ path }) => path), ['body.delegateId', 'body.permission', 'body.expiresAt', 'body.reason', 'body.projectId'])
    return true
  })
})

test('only lender, borrower and admin:delegate see a delegation; the borrower cannot revoke it', async (t) => {
  const { house, room, ada, bob } = await cast(t)
  await house.addUser('carol')
  const { user: carol } = await signInAs(room, 'carol')
  const { user: admin } = await signInAs(room, 'admin')
  const { id } = await room.access.delegations.grant(ada, { delegateId: bob.id, permission: 'agent:run' }, origin)
  const totals = await Promise.all([ada, bob, carol, admin].map(async (user) => {
    const { total } = await room.access.delegations.list(user, { limit: 1, offset: 0 })
    return total
  }))
  assert.deepEqual(totals, [1, 1, 0, 1])
  await assert.rejects(room.access.delegations.revoke(bob, id, origin), Forbidden)
  await assert.rejects(room.access.delegations.revoke(carol, id, origin), NotFound)
  await assert.rejects(room.access.delegations.revoke(admin, randomUUID(), origin), NotFound)
  await room.access.delegations.revoke(admin, id, origin)
  assert.equal(await may(room, bob, 'agent:run'), false)
  const log = await house.rows(`
    select actor_name, action, detail ->> 'permission' as permission from audit_log where resource = 'delegation' order by created_at
  `)
  assert.deepEqual(log, [
    { actor_name: 'ada', action: 'delegation.create', permission: 'agent:run' },
    { actor_name: 'admin', action: 'delegation.revoke', permission: 'agent:run' }
  ])
})

test('a borrower ends with nothing when a delegation races with the loss of its permission', async (t) => {
  const { house, room, ada, bob } = await cast(t)
  const other = await house.openRoom()
  const { user: admin } = await signInAs(other, 'admin')
  const [role] = await house.rows('select id from roles where name = \'developer\'')
  const roleId = String(role?.id)
  const rounds = process.env.BULKHEAD_LONG === undefined ? 20 : 300
  for (let round = 0; round < rounds; round++) {
    await Promise.allSettled([
      room.access.delegations.grant(ada, { delegateId: bob.id, permission: 'agent:run' }, origin),
      other.access.roles.unassign(admin, ada.id, { roleId }, origin)
    ])
    assert.equal(await may(room, bob, 'agent:run'), false, `round ${round}`)
    assert.equal(await may(other, bob, 'agent:run'), false)
    await other.access.roles.assign(admin, ada.id, { roleId }, origin)
    await house.rows('delete from delegations')
  }
})

test('what a user lent ends for good when they are deactivated, also by an older host', async (t) => {
  const { house, room, ada, bob, boat } = await cast(t)
  const { user: admin } = await signInAs(room, 'admin')
  const { users, delegations } = room.access
  const lend = async (): Promise<void> => {
    await delegations.grant((await signInAs(room, 'ada')).user, { delegateId: bob.id, permission: 'agent:run' }, origin)
    await delegations.grant((await signInAs(room, 'ada')).user, { delegateId: bob.id, permission: 'deploy:read', projectId: boat }, origin)
    assert.equal(await may(room, bob, 'agent:run'), true)
  }
  const deactivations = [
    () => users.deactivate(admin, ada.id, origin),
    () => users.change(admin, ada.id, { isActive: false }, origin),
    // As a replica of an earlier version leaves it.
    async () => { await house.rows('update users set is_active = false where id = $1', [ada.id]); await bumpEpoch(house) }
  ]
  for (const deactivate of deactivations) {
    await lend()
    await deactivate()
    await users.change(admin, ada.id, { isActive: true }, origin)
    assert.equal(await may(room, ada, 'agent:run'), true)
    assert.deepEqual([await may(room, bob, 'agent:run'), await may(room, bob, 'deploy:read', boat)], [false, false])
  }
  const log = await house.rows('select actor_name, detail ->> \'permission\' as permission from audit_log where action = \'delegation.revoke\' order by permission')
  assert.deepEqual(log, ['agent:run', 'deploy:read'].flatMap(permission => Array.from({ length: 3 }, () => ({ actor_name: 'admin', permission }))))
})

test('thirty loans made and revoked an hour by each user, and then there is a wait', async (t) => {
  const { house, room, ada, bob } = await cast(t)
  const { delegations } = room.access
  const input = { delegateId: bob.id, permission: 'agent:run' }
  for (let count = 0; count < 15; count++) {
    const { id } = await delegations.grant(ada, input, origin)
    // A loan that is refused counts for nothing.
    await assert.rejects(delegations.grant(ada, input, origin), Conflict)
    await delegations.revoke(ada, id, origin)
  }
  const epoch = await house.rows('select value from bulkhead.access_epoch')
  const [{ id } = { id: '' }] = await house.rows('select id from delegations')
  for (const work of [() => delegations.grant(ada, input, origin), () => delegations.revoke(ada, String(id), origin)]) {
    await assert.rejects(work, (error: unknown) => error instanceof TooManyRequests && (error.retryAfterMs ?? 0) > 0)
  }
  assert.deepEqual(await house.rows('select value from bulkhead.access_epoch'), epoch, 'no cache is cleared any more')
  const { user: admin } = await signInAs(room, 'admin')
  await delegations.grant(admin, input, origin)
  await house.clock.advance(3_600_000)
  await delegations.grant((await signInAs(room, 'ada')).user, input, origin)
})
