// Refused requests in the audit log: a row for each of a known user, counts for the others, and never more than a bounded number of rows.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { until } from '../../support/until.ts'
import { addProject, counting, openHouse, signIn, type House } from '../fixture.ts'

const facts = {
  plugin: 'notes', method: 'GET', route: '/api/notes/:id', status: 403, reason: 'This needs the permission "note:read".', requestId: 'r-1', address: '192.0.2.7'
}
const nobody = { actor_id: '00000000-0000-0000-0000-000000000000', actor_name: 'nobody', resource: 'route', project_id: null }

const minute = 60_000
interface Detail { count?: number, network?: string | null, status?: number }
interface Row { actor_id: string, actor_name: string, address: string | null, detail: Detail }

const rowsOf = async (house: House, action = 'request.refuse'): Promise<Row[]> => await house.rows(
  'select actor_id, actor_name, resource, project_id, host(ip_addr) as address, detail from audit_log where action = $1 order by created_at, id', [action]
) as unknown as Row[]

/** Lets the minute pass, and waits for so many rows. */
async function afterAMinute (house: House, rows: number, action?: string): Promise<Row[]> {
  await house.clock.advance(minute)
  await until(async () => (await rowsOf(house, action)).length >= rows)
  return rowsOf(house, action)
}

test('a refused request of a known user is in the audit log: who, what, from where and why', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const boat = await addProject(house, 'boat')
  const { user } = await signIn(room)
  room.noteRefused(user, { ...facts, projectId: boat })
  room.noteRefused(user, { ...facts, status: 404, address: undefined, projectId: randomUUID() })
  room.noteRefused(user, { ...facts, status: 405, projectId: '\0' })
  await until(async () => (await rowsOf(house)).length === 3)
  const { address, ...detail } = facts
  const known = { actor_id: user.id, actor_name: 'admin', resource: 'route' }
  assert.deepEqual((await rowsOf(house)).sort((a, b) => (a.detail.status ?? 0) - (b.detail.status ?? 0)), [
    { ...known, project_id: boat, address, detail },
    { ...known, project_id: null, address: null, detail: { ...detail, status: 404 } },
    { ...known, project_id: null, address, detail: { ...detail, status: 405 } }
  ])
})

test('800 refusals of unknown callers from one network are one row, which counts them', async (t) => {
  const house = await openHouse(t)
  const asked = counting(house.postgres)
  const room = await house.openRoom({ postgres: asked.postgres })
  const from = new Date(house.clock.now()).toISOString()
  const before = asked.count
  for (let index = 0; index < 800; index++) room.noteRefused(undefined, { ...facts, status: index % 8 === 0 ? 404 : 401, requestId: `r-${index}` })
  assert.equal(asked.count, before, 'nothing is written until the minute is over')
  const rows = await afterAMinute(house, 1)
  assert.deepEqual(rows, [{
    ...nobody, address: '192.0.2.7',
    detail: {
      count: 800, network: '192.0.2.7', from, to: new Date(house.clock.now()).toISOString(), statuses: { 401: 700, 404: 100 },
      routes: ['GET /api/notes/:id'], requestId: 'r-0'
    }
  }])
  room.noteRefused(undefined, facts)
  assert.deepEqual((await afterAMinute(house, 2)).map(({ detail }) => detail.count), [800, 1], 'the next minute is another row')
})

test('unknown callers cause a bounded number of rows a minute, however many networks they use', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  for (let index = 0; index < 5_000; index++) {
    const network = `2001:db8:${(index % 2_500).toString(16)}:1`
    room.noteRefused(undefined, { ...facts, route: `/api/x/${index}`, address: `${network}::${index.toString(16)}` })
    room.noteRefused(undefined, { ...facts, address: undefined })
  }
  const rows = await afterAMinute(house, 1)
  assert.ok(rows.length <= 25, `${rows.length} rows`)
  assert.equal(rows.reduce((sum, { detail }) => sum + (detail.count ?? 0), 0), 10_000)
  const first = rows.find(({ detail }) => detail.network === '2001:db8:0:1::/64')
  assert.deepEqual([first?.address, first?.detail.count], ['2001:db8:0:1::', 2], 'one network is the first 64 bits of its addresses')
  assert.equal(rows.filter(({ detail }) => detail.network === 'others').length, 1)
  assert.equal(rows.find(({ detail }) => detail.network === null)?.detail.count, 5_000, 'where the address is not known')
  assert.ok(JSON.stringify(rows).length < 20_000)
})

test('a flood of one known user is sixty rows and a count, and takes nothing from another user', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const { user } = await signIn(room)
  for (let index = 0; index < 2_500; index++) room.noteRefused(user, facts)
  const other = { ...user, id: randomUUID(), name: 'ada' }
  room.noteRefused(other, facts)
  const rows = await afterAMinute(house, 62)
  assert.equal(rows.length, 62)
  assert.deepEqual(rows.filter(({ actor_id: id }) => id === other.id).map(({ detail }) => detail.count), [undefined])
  assert.deepEqual(rows.filter(({ detail }) => detail.count !== undefined).map(({ actor_name: name, detail }) => [name, detail.count]), [['admin', 2_440]])
})

test('what is counted is written when the host stops', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  room.noteRefused(undefined, facts)
  await room.close()
  assert.deepEqual((await rowsOf(house)).map(({ detail }) => detail.count), [1])
})

test('failed sign-ins with invented names are twenty rows a minute, and counts by network', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  const attempts = 28
  for (let index = 0; index < attempts; index++) {
    const address = `198.51.100.${index % 14}`
    await assert.rejects(room.access.login({ name: `nobody-${index}`, password: 'a guess' }, { address, userAgent: undefined }), { status: 401 })
  }
  await assert.rejects(room.access.login({ name: 'admin', password: 'a guess' }, { address: '203.0.113.1', userAgent: undefined }), { status: 401 })
  const rows = await afterAMinute(house, 22, 'auth.login_failed')
  const counted = rows.filter(({ detail }) => detail.count !== undefined)
  assert.equal(rows.length - counted.length, 21, 'twenty of unknown names, and that of the admin')
  assert.equal(counted.length, 8, 'a row for each network')
  assert.equal(counted.reduce((sum, { detail }) => sum + (detail.count ?? 0), 0), attempts - 20)
})

test('an attempt to sign in that was no failure leaves no counter behind', async (t) => {
  const house = await openHouse(t)
  const room = await house.openRoom()
  await signIn(room)
  assert.deepEqual(await house.rows('select key, taken from bulkhead.rate_limit'), [])
})
