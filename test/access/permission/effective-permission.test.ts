// What a user may do: where it comes from, and that it is never out of date.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { Redis } from 'iovalkey'
import { undo } from '../../support/undo.ts'
import { until } from '../../support/until.ts'
import { addProject, assign, bumpEpoch, openHouse, openTestValkey } from '../fixture.ts'
import type { House } from '../fixture.ts'

const sorted = (permissions: ReadonlySet<string>): string => [...permissions].sort().join(' ')

interface Delegation { projectId?: string, expiresAtMs?: number, isRevoked?: boolean }

const delegate = ({ rows }: House, to: string, permission: string, { projectId, expiresAtMs, isRevoked }: Delegation = {}): Promise<unknown> =>
  rows(`insert into delegations (delegator_id, delegate_id, permission_id, project_id, expires_at, revoked_at)
    select (select id from users where name = 'admin'), $1, id, $3, $4, $5 from permissions where name = $2`,
  [to, permission, projectId ?? null, expiresAtMs === undefined ? null : new Date(expiresAtMs), isRevoked === true ? new Date() : null])

test('global roles, project roles and delegations add up; those of another project do not count', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const ada = await house.addUser('ada')
  const [boat, ship] = [await addProject(house, 'boat'), await addProject(house, 'ship')]
  await assign(house, ada, 'viewer')
  await assign(house, ada, 'ops', boat)
  await delegate(house, ada, 'alert:manage')
  await delegate(house, ada, 'secret:write', { projectId: ship })
  await delegate(house, ada, 'agent:run', { isRevoked: true })

  const global = 'alert:manage deploy:read observe:read project:read'
  assert.equal(sorted(await room.permissionsOf(ada, undefined)), global)
  assert.equal(sorted(await room.permissionsOf(ada, boat)),
    'alert:manage deploy:promote deploy:read observe:read observe:write project:read secret:read')
  assert.equal(sorted(await room.permissionsOf(ada, ship)), 'alert:manage deploy:read observe:read project:read secret:write')
  assert.equal(sorted(await room.permissionsOf(ada, randomUUID())), global)
  assert.equal(sorted(await room.permissionsOf(randomUUID(), undefined)), '')
})

test('a delegation ends with its time, in the cache too', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const ada = await house.addUser('ada')
  await delegate(house, ada, 'agent:run', { expiresAtMs: house.clock.now() + 60_000 })
  await delegate(house, ada, 'deploy:read', { expiresAtMs: house.clock.now() + 120_000 })
  assert.equal(sorted(await room.permissionsOf(ada, undefined)), 'agent:run deploy:read')
  await house.clock.advance(59_999)
  assert.equal(sorted(await room.permissionsOf(ada, undefined)), 'agent:run deploy:read')
  await house.clock.advance(1)
  assert.equal(sorted(await room.permissionsOf(ada, undefined)), 'deploy:read')
  await house.clock.advance(60_000)
  assert.equal(sorted(await room.permissionsOf(ada, undefined)), '')
})

test('an inactive user may do nothing', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const ada = await house.addUser('ada')
  await assign(house, ada, 'viewer')
  await house.rows('update users set is_active = false where id = $1', [ada])
  assert.equal(sorted(await room.permissionsOf(ada, undefined)), '')
})

test('a cached permission counts only under its epoch, so a change the cache missed is seen', async (t) => {
  const house = await openHouse(t)
  const [here, there] = [await house.openRoom(), await house.openRoom()]
  const ada = await house.addUser('ada')
  await assign(house, ada, 'viewer')
  await here.permissionsOf(ada, undefined)

  // The change and its epoch, and no word to Valkey.
  await house.rows('delete from user_roles where user_id = $1', [ada])
  await bumpEpoch(house)
  assert.equal(sorted(await here.permissionsOf(ada, undefined)), '')
  assert.equal(sorted(await there.permissionsOf(ada, undefined)), '')
})

test('the cache uses perms:<user>:<project or global> for 5 minutes, never past a delegation', async (t) => {
  const house = await openHouse(t)
  const redis = new Redis(process.env['TEST_VALKEY_URL'] ?? '')
  undo(t, () => redis.disconnect())
  const room = await house.openRoom({ valkey: (await openTestValkey(t)).host })
  const ada = await house.addUser('ada')
  const boat = await addProject(house, 'boat')
  await assign(house, ada, 'viewer')
  await delegate(house, ada, 'agent:run', { projectId: boat, expiresAtMs: house.clock.now() + 60_000 })
  await room.permissionsOf(ada, undefined)
  await room.permissionsOf(ada, boat)
  const lifeMs = (key: string): Promise<number> => redis.pttl(key)
  await until(async () => await lifeMs(`perms:${ada}:global`) > 0 && await lifeMs(`perms:${ada}:${boat}`) > 0)
  const [global, inBoat] = [await lifeMs(`perms:${ada}:global`), await lifeMs(`perms:${ada}:${boat}`)]
  assert.ok(global > 200_000 && global <= 300_000, `${global} ms`)
  assert.ok(inBoat > 30_000 && inBoat <= 60_000, `${inBoat} ms`)

  // Not computed again: without a new epoch what was found stays.
  await house.rows('delete from user_roles where user_id = $1', [ada])
  assert.equal(sorted(await room.permissionsOf(ada, undefined)), 'deploy:read observe:read project:read')
})

test('an entry that cannot be read is a miss, not a denial', async (t) => {
  const house = await openHouse(t)
  const { host: valkey } = await openTestValkey(t)
  const room = await house.openRoom({ valkey })
  const ada = await house.addUser('ada')
  await assign(house, ada, 'viewer')
  for (const entry of ['nonsense', { epoch: 1 }, { epoch: 'x', permissions: ['admin:users'], until: null }, null]) {
    await valkey.set(`perms:${ada}:global`, entry, { ttlMs: 60_000 })
    assert.equal(sorted(await room.permissionsOf(ada, undefined)), 'deploy:read observe:read project:read')
  }
})
