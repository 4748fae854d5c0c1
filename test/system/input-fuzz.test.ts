// Every field of every route of every plugin × many values, as an admin and as an ordinary user: what a caller sends is never answered 5xx.
// By default a sample, whose seed is printed and repeated with BULKHEAD_FUZZ_SEED; with BULKHEAD_LONG=1 all of it.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { RouteRecord } from '../../core/handover/route-record.ts'
import { signIn, type Client } from '../support/client.ts'
import { createDatabase } from '../support/database.ts'
import { startHost, temporaryFolder, withCheapHashes, type HostProcess } from '../support/host.ts'
import { samplesFor, type Things } from './access-matrix-sample.ts'
import { fieldsOf, requestWith, type FuzzBase, type FuzzField } from './fuzz-field.ts'
import { fuzzValues, type FuzzValue } from './fuzz-value.ts'
import { openOperator, type Operator } from './harbour-fixture.ts'
import { readRouteTable } from './route-table.ts'

const root = join(import.meta.dirname, '../..')
const password = 'a long password'
const nobody = '0192f0c1-2a3b-7c4d-8e5f-60718293a4b5'
const isLong = process.env.BULKHEAD_LONG === '1'
const seed = Number(process.env.BULKHEAD_FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31))
const sampleSize = 600
const atOnce = 12
const valuesMin = 100

interface Ask {
  readonly route: RouteRecord
  readonly field: FuzzField
  readonly value: FuzzValue
}

interface Caller {
  readonly name: string
  readonly bearer: string
}

interface House {
  readonly url: string
  readonly host: HostProcess
  readonly operator: Operator
  readonly callers: readonly Caller[]
  readonly bases: Readonly<Record<string, () => FuzzBase>>
}

const labelOf = ({ method, mount, path }: RouteRecord): string => `${method.toUpperCase()} /api/${mount}${path === '/' ? '' : path}`
const nameOf = ({ part, path }: FuzzField): string => [part, ...path].join('.')

/** The limits of attempts would answer 429 instead of looking at the value. */
const withoutLimits = `
  create function bulkhead.no_limit () returns trigger language plpgsql as $$ begin new.taken := 0; return new; end $$;
  create trigger no_limit before insert or update on bulkhead.rate_limit for each row execute function bulkhead.no_limit();
`

async function openHouse (t: TestContext): Promise<House> {
  const databaseUrl = await createDatabase(t, { migrated: 'plugins' })
  const env = { DATABASE_URL: databaseUrl, PLATFORM_DATA_PATH: await temporaryFolder(t), PLATFORM_ADMIN_PASSWORD: password }
  const host = startHost(t, { ...env, ...withCheapHashes })
  const { url } = await host.ready()
  const operator = await openOperator(t, databaseUrl)
  await operator.rows(withoutLimits)
  const admin = await signIn(url, 'admin', password)
  const idOf = async (asked: Promise<Response>): Promise<string> => {
    const answer = await asked
    const body = await answer.json() as { id: string }
    assert.equal(answer.status, 201, JSON.stringify(body))
    return body.id
  }
  const addUser = (name: string): Promise<string> => idOf(admin.post('/api/users', { name, email: `${name}@example.org`, password }))
  const [victim, spare, ordinary] = [await addUser('victim'), await addUser('spare'), await addUser('ordinary')]
  const [developer] = await operator.rows('select id from roles where name = \'developer\'')
  for (const user of [ordinary, victim]) await idOf(admin.post(`/api/admin/users/${user}/roles`, { roleId: String(developer?.id) }))
  const project = await operator.addProject('boatyard')
  const at = `/api/projects/${project}`
  await idOf(admin.post(`${at}/issues`, { title: 'Leaks' }))
  // Of neither caller: nobody reviews their own.
  await idOf((await signIn(url, 'victim', password)).post(`${at}/merge-requests`, { title: 'Caulk', sourceBranch: 'caulk' }))
  const things: Things = {
    victim, spare, project, password, nobody,
    role: await idOf(admin.post('/api/admin/roles', { name: 'sample' })),
    spareRole: await idOf(admin.post('/api/admin/roles', { name: 'spare' })),
    delegation: await idOf(admin.post('/api/admin/delegations', { delegateId: victim, permission: 'project:read' })),
    comment: await idOf(admin.post(`${at}/issues/1/comments`, { body: 'Below the waterline' })),
    webhook: await idOf(admin.post(`${at}/webhooks`, { url: 'https://hooks.example.org/', events: ['push'] }))
  }
  const note = await idOf(admin.post('/api/notes', { title: 'A note' }))
  const callers = [
    { name: 'admin', bearer: sessionOf(admin) },
    { name: 'ordinary', bearer: sessionOf(await signIn(url, 'ordinary', password)) }
  ]
  return { url, host, operator, callers, bases: basesFor(things, note) }
}

const sessionOf = ({ cookie }: Client): string => cookie.slice(cookie.indexOf('=') + 1)

/** What is sent beside the value: enough to get as far as the database. Where the name must be free, each request takes another one. */
function basesFor (things: Things, note: string): Readonly<Record<string, () => FuzzBase>> {
  const { project, victim, spare, role, webhook } = things
  let count = 0
  const samples = Object.fromEntries(Object.entries(samplesFor(things)).map(
    ([label, { params, admittedParams, body, query }]) => [label, (): FuzzBase => ({
      params: admittedParams ?? params ?? {},
      ...query !== undefined && { query: Object.fromEntries(new URLSearchParams(query)) },
      ...body !== undefined && { body }
    })]))
  return {
    ...samples,
    'POST /api/users': () => ({ body: { name: `user-${++count}`, email: `user-${count}@example.org`, password } }),
    'PATCH /api/users/:id': () => ({ params: { id: victim } }),
    'POST /api/admin/roles': () => ({ body: { name: `role-${++count}` } }),
    'PATCH /api/admin/roles/:id': () => ({ params: { id: role } }),
    'POST /api/admin/users/:id/roles': () => ({ params: { id: spare }, body: { roleId: role } }),
    'POST /api/admin/delegations': () => ({ body: { delegateId: spare, permission: 'project:read' } }),
    'PATCH /api/notes/:id': () => ({ params: { id: note } }),
    'POST /api/projects': () => ({ body: { name: `project-${++count}` } }),
    'PATCH /api/projects/:projectId': () => ({ params: { projectId: project } }),
    'POST /api/projects/:projectId/issues': () => ({ params: { projectId: project }, body: { title: 'Another' } }),
    'PATCH /api/projects/:projectId/issues/:number': () => ({ params: { projectId: project, number: '1' } }),
    'PATCH /api/projects/:projectId/merge-requests/:number': () => ({ params: { projectId: project, number: '1' } }),
    'POST /api/projects/:projectId/merge-requests': () => ({ params: { projectId: project }, body: { title: 'Another', sourceBranch: `branch-${++count}` } }),
    'PATCH /api/projects/:projectId/webhooks/:id': () => ({ params: { projectId: project, id: webhook } }),
    'PUT /api/notifications/preferences': () => ({ body: { items: [{ kind: 'issue.assigned', channel: 'email', mode: 'now' }] } }),
    'POST /api/plugins/:id/disable': () => ({ params: { id: 'nothing' }, body: { reason: 'why' } }),
    'POST /api/auth/login': () => ({ body: { name: 'victim', password } })
  }
}

/** Mulberry32: the same numbers for the same seed. */
function createRandom (from: number): () => number {
  let state = from
  return () => {
    state = state + 0x6d2b79f5 | 0
    let mixed = Math.imul(state ^ state >>> 15, 1 | state)
    mixed = mixed + Math.imul(mixed ^ mixed >>> 7, 61 | mixed) ^ mixed
    return ((mixed ^ mixed >>> 14) >>> 0) / 4_294_967_296
  }
}

function sampled (asks: readonly Ask[]): readonly Ask[] {
  if (isLong) return asks
  const random = createRandom(seed)
  return Array.from({ length: sampleSize }, () => asks[Math.floor(random() * asks.length)]).filter(ask => ask !== undefined)
}

async function ask (house: House, caller: Caller, each: Ask, triesLeft = 3): Promise<string | undefined> {
  const { url, host, operator, bases } = house
  const { route, field, value } = each
  const label = labelOf(route)
  const [method = '', pattern = ''] = label.split(' ')
  const asked = requestWith(pattern, bases[label]?.() ?? {}, field, value)
  if (asked === undefined) return undefined
  // Else only the first delegation would reach the database.
  if (label === 'POST /api/admin/delegations') await operator.rows('delete from delegations where reason is distinct from \'kept\'')
  const answer = await fetch(`${url}${asked.url}`, {
    method,
    headers: { authorization: `Bearer ${caller.bearer}`, ...asked.body !== undefined && { 'content-type': 'application/json' } },
    ...asked.body !== undefined && { body: asked.body }
  })
  const text = await answer.text()
  // Among the values are ids of plugins: what was switched off goes on, and answers 503 for as long as it is.
  if (label === 'POST /api/plugins/:id/disable' && answer.ok) {
    await fetch(`${url}${asked.url.replace('/disable', '/enable')}`, { method, headers: { authorization: `Bearer ${caller.bearer}` } })
  }
  if (answer.status < 500 || (answer.status === 503 && text.includes('is switched off'))) return undefined
  // 503 is documented for what is overloaded, as on a busy machine; a value that brings it about does so again.
  if (answer.status === 503 && triesLeft > 1) return ask(house, caller, each, triesLeft - 1)
  const { requestId } = JSON.parse(text) as { requestId: string }
  const line = await host.line(logged => logged.requestId === requestId && logged.level !== 'debug' && 'err' in logged, 5_000).catch(() => undefined)
  return `${answer.status} for ${caller.name}: ${label}, ${nameOf(field)} = ${value.name}: ${JSON.stringify(line?.err ?? text).slice(0, 400)}`
}

/** The first few, each field once. */
async function askAll (t: TestContext, house: House, asks: readonly Ask[]): Promise<{ failures: string[], asked: number }> {
  const failures = new Map<string, string>()
  const left = asks.flatMap(each => house.callers.map(caller => [caller, each] as const))[Symbol.iterator]()
  let asked = 0
  const go = async (): Promise<void> => {
    for (const [caller, each] of left) {
      asked++
      if (asked % 10_000 === 0) t.diagnostic(`${asked} requests`)
      const failure = await ask(house, caller, each)
      if (failure !== undefined) failures.set(`${labelOf(each.route)} ${nameOf(each.field)}`, failure)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, go))
  return { failures: [...failures.values()], asked }
}

/** Its token is mailed and works once, so no base has a good one; a wrong one is looked up in the database all the same. */
const takesMailedToken = 'POST /api/auth/password'

/** A base that is refused by itself would hide everything behind it. Deletions are left out: they take away what others need. */
async function findRefusedBases ({ url, bases, callers: [admin] }: House, routes: readonly RouteRecord[]): Promise<string[]> {
  const refused: string[] = []
  for (const route of routes.filter(({ method }) => method !== 'delete')) {
    const label = labelOf(route)
    if (label === takesMailedToken) continue
    const { params = {}, query = {}, body } = bases[label]?.() ?? {}
    if (fieldsOf(route).length === 0) continue
    const path = label.slice(label.indexOf(' ') + 1).replaceAll(/:(\w+)/g, (_, name: string) => params[name] ?? '')
    const { status } = await fetch(`${url}${path}?${new URLSearchParams(query).toString()}`, {
      method: route.method.toUpperCase(),
      headers: { authorization: `Bearer ${admin?.bearer ?? ''}`, ...body !== undefined && { 'content-type': 'application/json' } },
      ...body !== undefined && { body: JSON.stringify(body) }
    })
    // Where every field of the body may be left out, the base is none.
    const isRefused = status === 422 ? body !== undefined || route.options.body === undefined : [400, 401, 403].includes(status) || status >= 500
    if (isRefused) refused.push(`${label}: ${status}`)
  }
  return refused
}

/** Faults that were found once are asked in every run. */
const pinned: readonly (readonly [label: string, field: string, text: string])[] = [
  ['GET /api/admin/audit', 'query.from', '2030-01-01T00:00:00+16:00'],
  ['GET /api/admin/audit', 'query.to', '2030-01-01T00:00:00-23:59'],
  ['POST /api/admin/delegations', 'body.expiresAt', '9999-12-31T23:59:59-15:00'],
  ['GET /api/tasks', 'query.plugin', '\0'],
  ['GET /api/tasks', 'query.task', 'a\0b'],
  ['POST /api/tasks/forget', 'body.plugin', '\0']
]

test('no value of any field of any route is answered 5xx, for an admin and for an ordinary user', async (t) => {
  t.diagnostic(`BULKHEAD_FUZZ_SEED=${seed}`)
  const { routes } = await readRouteTable([join(root, 'plugins')])
  const house = await openHouse(t)
  const all = routes.flatMap(route => fieldsOf(route).flatMap(field => fuzzValues.map(value => ({ route, field, value }))))
  const labels = new Set(routes.map(labelOf))
  assert.deepEqual(Object.keys(house.bases).filter(label => !label.includes('/harbour') && !labels.has(label)), [], 'bases of routes that are no more: take them out')
  assert.ok(fuzzValues.length >= valuesMin)
  assert.deepEqual(await findRefusedBases(house, routes), [])

  const known = pinned.map(([label, field, text]) => {
    const found = all.find(each => labelOf(each.route) === label && nameOf(each.field) === field && each.value.json === JSON.stringify(text))
    assert.ok(found, `${label} ${field} ${text} is asked`)
    return found
  })
  const { failures, asked } = await askAll(t, house, [...known, ...sampled(all)])
  assert.deepEqual(failures, [], `BULKHEAD_FUZZ_SEED=${seed}`)

  // What was taken can be read again.
  for (const route of routes.filter(({ method, path }) => method === 'get' && path !== '/stream')) {
    for (const caller of house.callers) {
      const label = labelOf(route)
      const { params = {} } = house.bases[label]?.() ?? {}
      const answer = await fetch(`${house.url}${label.slice(4).replaceAll(/:(\w+)/g, (_, name: string) => params[name] ?? '')}`, { headers: { authorization: `Bearer ${caller.bearer}` } })
      assert.ok(answer.status < 500, `${label} for ${caller.name} answers ${answer.status} after the values: ${await answer.text()} (BULKHEAD_FUZZ_SEED=${seed})`)
    }
  }
  t.diagnostic(`${routes.length} routes, ${new Set(all.map(({ field }) => field)).size} fields, ${fuzzValues.length} values, ${asked} requests`)
})
