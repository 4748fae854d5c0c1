// Bringing the permissions of the host and its plugins into the database, at every start.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { syncPermissions } from '../../../core/access/index.ts'
import type { DeclaredPermission } from '../../../core/access/index.ts'
import { openHouse } from '../fixture.ts'
import type { House } from '../fixture.ts'

const notes: DeclaredPermission[] = [
  { name: 'note:read', description: 'See notes', roles: ['viewer', 'developer'] },
  { name: 'note:write', description: 'Write notes', roles: ['developer'] }
]

const holders = async ({ rows }: House, permission: string): Promise<unknown> => (await rows(`
  select coalesce(string_agg(r.name, ' ' order by r.name), '') as roles
  from role_permissions rp join roles r on r.id = rp.role_id join permissions p on p.id = rp.permission_id where p.name = $1
`, [permission]))[0]?.roles

const epoch = async ({ rows }: House): Promise<unknown> => (await rows('select value from bulkhead.access_epoch'))[0]?.value

test('what plugins declare is there, held by the roles they name and always by admin', async (t) => {
  const house = await openHouse(t)
  assert.deepEqual(await syncPermissions(house.postgres, notes), { changed: true })
  assert.equal(await holders(house, 'note:read'), 'admin developer viewer')
  assert.equal(await holders(house, 'note:write'), 'admin developer')
  assert.deepEqual(await house.rows('select resource, action, description from permissions where name = \'note:write\''),
    [{ resource: 'note', action: 'write', description: 'Write notes' }])
})

test('when all is there already, nothing is written', async (t) => {
  const house = await openHouse(t)
  await syncPermissions(house.postgres, notes)
  const before = await epoch(house)
  const readOnly = await house.connect({ session: '-c default_transaction_read_only=on' })
  assert.deepEqual(await syncPermissions(readOnly, notes), { changed: false })
  assert.equal(await epoch(house), before)
})

test('a new description, a role named newly and one named no longer arrive at the next start', async (t) => {
  const house = await openHouse(t)
  await syncPermissions(house.postgres, notes)
  const before = await epoch(house)
  await syncPermissions(house.postgres, [{ name: 'note:read', description: 'Read notes', roles: ['ops', 'viewer'] }, { name: 'note:write', description: 'Write notes' }])
  assert.equal(await holders(house, 'note:read'), 'admin ops viewer')
  assert.equal(await holders(house, 'note:write'), 'admin')
  assert.deepEqual(await house.rows('select description from permissions where name = \'note:read\''), [{ description: 'Read notes' }])
  assert.notEqual(await epoch(house), before, 'what was computed before is void')
})

test('what a system role lost, and admin above all, is given back', async (t) => {
  const house = await openHouse(t)
  await syncPermissions(house.postgres, notes)
  await house.rows('delete from role_permissions')
  assert.deepEqual(await syncPermissions(house.postgres, notes), { changed: true })
  assert.equal(await holders(house, 'note:read'), 'admin developer viewer')
  assert.equal(await holders(house, 'admin:users'), 'admin')
  assert.equal(await holders(house, 'project:read'), 'admin developer viewer')
})

test('a permission that is no longer declared stays for older replicas, and admin holds it', async (t) => {
  const house = await openHouse(t)
  await syncPermissions(house.postgres, notes)
  assert.deepEqual(await syncPermissions(house.postgres, []), { changed: false })
  assert.equal(await holders(house, 'note:read'), 'admin developer viewer')
})

test('a role made by an admin keeps what it was given, and gets nothing by itself', async (t) => {
  const house = await openHouse(t)
  await syncPermissions(house.postgres, notes)
  await house.rows('insert into roles (name) values (\'scribe\'), (\'guest\')')
  await house.rows(`insert into role_permissions select r.id, p.id from roles r, permissions p where r.name = 'scribe' and p.name = 'note:write'`)
  await syncPermissions(house.postgres, [{ name: 'note:write', description: 'Write all notes' }])
  assert.equal(await holders(house, 'note:write'), 'admin scribe')
})

test('ten hosts that bring the same at once all succeed', async (t) => {
  const house = await openHouse(t)
  const many = Array.from({ length: 500 }, (_, index): DeclaredPermission => ({ name: `thing-${index}:read`, description: `See thing ${index}`, roles: ['viewer'] }))
  const hosts = await Promise.all(Array.from({ length: 10 }, () => house.connect()))
  await Promise.all(hosts.map(postgres => syncPermissions(postgres, many)))
  assert.deepEqual(await house.rows('select count(*)::int as count from permissions where name like \'thing-%\''), [{ count: 500 }])
  assert.equal(await holders(house, 'thing-499:read'), 'admin viewer')
})
