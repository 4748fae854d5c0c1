// Every route of every plugin × every kind of caller × every spelling of its path: who is let through, and that nothing changes for who is not.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RouteRecord } from '../../core/handover/route-record.ts'
import { signIn } from '../support/client.ts'
import { createDatabase } from '../support/database.ts'
import { startHost, temporaryFolder, withCheapHashes } from '../support/host.ts'
import { until } from '../support/until.ts'
import { samplesFor, type Sample, type Things } from './access-matrix-sample.ts'
import { openOperator, writeHarbour, type Operator } from './harbour-fixture.ts'
import { readRouteTable, type RouteTable } from './route-table.ts'

const root = join(import.meta.dirname, '../..')
const password = 'a long password'
const isLong = process.env.BULKHEAD_LONG !== undefined
const spellingTurns = 6
const nobody = '0192f0c1-2a3b-7c4d-8e5f-60718293a4b5'

interface Caller {
  readonly name: string
  readonly bearer?: string
  /** The user a fresh session would be for. */
  readonly user?: string
  /** Nobody is behind the credential. */
  readonly isNobody?: boolean
  readonly isBoundElsewhere?: boolean
  holds (permission: string): boolean
}

interface House { url: string, operator: Operator, table: RouteTable, things: Things, callers: readonly Caller[] }

async function openHouse (t: TestContext): Promise<House> {
  const databaseUrl = await createDatabase(t, { migrated: 'plugins' })
  const plugins = await temporaryFolder(t)
  await writeHarbour(plugins)
  const folders = [join(root, 'plugins'), plugins]
  const host = startHost(t, {
    DATABASE_URL: databaseUrl, PLATFORM_DATA_PATH: await temporaryFolder(t), PLATFORM_ADMIN_PASSWORD: password,
    PLATFORM_PLUGINS_PATH: folders.join(':'), ...withCheapHashes
  })
  const { url } = await host.ready()
  const operator = await openOperator(t, databaseUrl)
  const table = await readRouteTable(folders)
  return { url, operator, table, ...await populate(url, operator, table) }
}

async function populate (url: string, operator: Operator, { permissions }: RouteTable): Promise<Pick<House, 'things' | 'callers'>> {
  const admin = await signIn(url, 'admin', password)
  const made = async (answer: Promise<Response>): Promise<{ id: string, token: string }> => {
    const { status } = await answer
    const body = await (await answer).json() as { id: string, token: string }
    assert.equal(status, 201, JSON.stringify(body))
    return body
  }
  const addUser = async (name: string): Promise<string> => (await made(admin.post('/api/users', { name, email: `${name}@example.org`, password }))).id
  const roleId = async (name: string): Promise<string> => String((await operator.rows('select id from roles where name = $1', [name]))[0]?.id)
  const give = async (user: string, role: string): Promise<unknown> => made(admin.post(`/api/admin/users/${user}/roles`, { roleId: role }))
  const sessionOf = async (name: string): Promise<string> => (await signIn(url, name, password)).cookie.replace('session=', '')
  const [project, elsewhere] = [await operator.addProject('boatyard'), await operator.addProject('museum')]

  const [victim, spare] = [await addUser('victim'), await addUser('spare')]
  const role = (await made(admin.post('/api/admin/roles', { name: 'sample' }))).id
  const spareRole = (await made(admin.post('/api/admin/roles', { name: 'spare' }))).id
  await give(victim, role)
  await give(victim, await roleId('developer'))
  const delegation = (await made((await signIn(url, 'victim', password)).post('/api/admin/delegations', { delegateId: spare, permission: 'project:read' }))).id

  const systemRoles = ['admin', 'developer', 'ops', 'agent', 'viewer']
  const callers: Caller[] = [{ name: 'nobody', isNobody: true, holds: () => false }]
  for (const name of systemRoles) {
    const user = `a-${name}`
    await give(await addUser(user), await roleId(name))
    callers.push({
      name, user, bearer: await sessionOf(user),
      holds: permission => name === 'admin' || (permissions.get(permission) as readonly string[] | undefined)?.includes(name) === true
    })
  }
  const lost = async (name: string, query: string): Promise<Caller> => {
    const id = await addUser(name)
    await give(id, await roleId('admin'))
    const bearer = await sessionOf(name)
    await operator.rows(query, [id])
    return { name, bearer, isNobody: true, holds: () => false }
  }
  callers.push(await lost('inactive', 'update users set is_active = false where id = $1'))
  callers.push(await lost('expired', 'update auth_sessions set expires_at = now() - interval \'1 second\' where user_id = $1'))

  const token = (body: object): Promise<{ id: string, token: string }> => made(admin.post('/api/tokens', body))
  const revoked = await token({ name: 'revoked' })
  await admin.delete(`/api/tokens/${revoked.id}`)
  callers.push(
    { name: 'revoked token', bearer: revoked.token, isNobody: true, holds: () => false },
    { name: 'narrower token', bearer: (await token({ name: 'narrow', scopes: ['alert:manage'] })).token, holds: permission => permission === 'alert:manage' },
    { name: 'token of another project', bearer: (await token({ name: 'bound', projectId: elsewhere })).token, isBoundElsewhere: true, holds: () => false }
  )
  const at = `/api/projects/${project}`
  await made(admin.post(`${at}/issues`, { title: 'Leaks' }))
  await made(admin.post(`${at}/merge-requests`, { title: 'Caulk', sourceBranch: 'caulk' }))
  const comment = (await made(admin.post(`${at}/issues/1/comments`, { body: 'Below the waterline' }))).id
  const webhook = (await made(admin.post(`${at}/webhooks`, { url: 'https://hooks.example.org/', events: ['push'] }))).id

  // What was changed behind the host's back is seen after this.
  await sleep(1_100)
  return { things: { victim, spare, role, spareRole, delegation, project, comment, webhook, password, nobody }, callers }
}

const labelOf = ({ method, mount, path }: RouteRecord): string => `${method.toUpperCase()} /api/${mount}${path === '/' ? '' : path}`

/** Undefined when the guard lets the caller through. */
function refusalOf ({ options }: RouteRecord, caller: Caller): number | undefined {
  if (options.public !== undefined) return undefined
  if (caller.isNobody === true) return 401
  if (caller.isBoundElsewhere === true) return options.project === 'narrowed' ? undefined : 404
  if (options.signedIn !== undefined || caller.holds(options.permission)) return undefined
  // An agent holds nothing at all, so not even that the project is there is for it to know.
  return options.project !== undefined && caller.name === 'agent' ? 404 : 403
}

/** Where the route's own rules decide, as of who owns a project, the sample says whom they refuse; undefined for the others. */
function ownRefusalOf ({ by }: Sample, caller: Caller): number | undefined {
  const status = by?.[caller.name]
  return status === 403 || status === 404 ? status : undefined
}

const admittedStatus = ({ options }: RouteRecord, { admitted, by }: Sample, caller: Caller): number =>
  by?.[caller.name] ?? admitted ?? options.status ?? (options.returns === undefined && options.public === undefined ? 204 : 200)

const fill = (path: string, params: Readonly<Record<string, string>> = {}, encode = false): string =>
  path.replaceAll(/:(\w+)/g, (_, name: string) => {
    const value = params[name] ?? ''
    return encode ? `%${value.charCodeAt(0).toString(16)}${value.slice(1)}` : value
  })
const encodeFirst = (text: string): string => `%${text.charCodeAt(0).toString(16)}${text.slice(1)}`
const mapWords = (path: string, change: (word: string) => string): string =>
  path.split('/').map(part => part === '' || part === 'api' || part.startsWith(':') ? part : change(part)).join('/')

/** Other spellings: each is another path, which is nobody's. */
const spellings = (path: string): Readonly<Record<string, string>> => ({
  capitals: mapWords(path, word => word.toUpperCase()),
  'capitals throughout': path.split('/').map(part => part.startsWith(':') ? part : part.toUpperCase()).join('/'),
  'a slash behind': `${path}/`,
  'a doubled slash': path.replace(/\/(?=[^/]*$)/, '//'),
  'another doubled slash': path.replace('/api/', '/api//'),
  encoded: mapWords(path, encodeFirst)
})

interface Cell {
  readonly what: string
  readonly method: string
  readonly path: string
  readonly caller: Caller
  readonly expected: number
  readonly body: object | undefined
}

const ask = async (url: string, { method, path, caller, body }: Cell): Promise<number> => {
  const answer = await fetch(`${url}${path}`, {
    method,
    headers: {
      ...caller.bearer === undefined ? {} : { authorization: `Bearer ${caller.bearer}` },
      ...body === undefined || method === 'HEAD' ? {} : { 'content-type': 'application/json' }
    },
    ...body === undefined || method === 'HEAD' ? {} : { body: JSON.stringify(body) }
  })
  // A stream of events has no end to wait for.
  if (answer.headers.get('content-type')?.startsWith('text/event-stream') === true) await answer.body?.cancel()
  else await answer.arrayBuffer()
  return answer.status
}

async function run (url: string, cells: readonly Cell[], atOnce: number): Promise<string[]> {
  const wrong: string[] = []
  const queue = cells.values()
  await Promise.all(Array.from({ length: atOnce }, async () => {
    for (const cell of queue) {
      const status = await ask(url, cell)
      if (status !== cell.expected) wrong.push(`${cell.method} ${cell.path} (${cell.what}) by ${cell.caller.name}: ${status}, not ${cell.expected}`)
    }
  }))
  return wrong
}

/** Whatever a request could change, but for the traces that asking leaves. */
async function fingerprint ({ rows }: Operator): Promise<unknown> {
  const tables = await rows(`
    select quote_ident(schemaname) || '.' || quote_ident(tablename) as name from pg_tables
    where schemaname not in ('pg_catalog', 'information_schema', 'pgboss', 'bulkhead') and tablename <> 'audit_log' order by 1
  `)
  const parts = tables.map(({ name }) => `
    select '${String(name)}' as name, coalesce(md5(string_agg(row, '' order by row)), '') as hash
    from (select (to_jsonb(t) - 'last_used_at' - 'expires_at')::text as row from ${String(name)} t) as rows
  `)
  return rows(`${parts.join(' union all ')} union all select 'epoch', value::text from bulkhead.access_epoch order by 1`)
}

/** What the requests before have set off in the background is done. */
const untilQuiet = ({ rows }: Operator): Promise<void> =>
  until(async () => (await rows('select from pgboss.job where state < \'completed\' and start_after <= now()')).length === 0)

test('each route admits the callers it should, in one spelling only, and others change nothing', async (t) => {
  const { url, operator, table, things, callers } = await openHouse(t)
  const samples = samplesFor(things)
  const labels = table.routes.map(labelOf)
  const [admin] = callers.filter(({ name }) => name === 'admin')
  assert.ok(admin?.bearer)

  // The table is the one of the host: as many routes of each plugin.
  const { items } = await (await fetch(`${url}/api/plugins`, { headers: { authorization: `Bearer ${admin.bearer}` } })).json() as
    { items: { id: string, owns: { routes: number } }[] }
  assert.deepEqual(Object.fromEntries(items.map(({ id, owns }) => [id, owns.routes])),
    Object.fromEntries(items.map(({ id }) => [id, table.routes.filter(({ plugin }) => plugin === id).length])))
  assert.deepEqual(Object.keys(samples).filter(label => !labels.includes(label)), [], 'samples of routes that are no more: take them out')
  const unknown = table.routes.filter(route => samples[labelOf(route)] === undefined && (route.options.body !== undefined || route.path.includes(':')))
  assert.deepEqual(unknown.map(labelOf), [], 'say in access-matrix-sample.ts what is sent to these')

  const rows = table.routes.map((route, index) => {
    const label = labelOf(route)
    const sample = samples[label] ?? {}
    const method = route.method.toUpperCase()
    const pattern = label.slice(method.length + 1)
    const at = (path: string, params = sample.params, encode = false): string => `${fill(path, params, encode)}${sample.query ?? ''}`
    const cell = (what: string, caller: Caller, expected: number, path: string, as = method): Cell =>
      ({ what, method: as, path, caller, expected, body: sample.body })
    const hasGet = labels.includes(`GET ${pattern}`)
    const refusalFor = (caller: Caller): number | undefined => refusalOf(route, caller) ?? ownRefusalOf(sample, caller)

    const refused = callers.flatMap((caller, turn) => {
      const refusal = refusalFor(caller)
      const heads = method === 'GET' ? [refusal] : hasGet ? [] : [405]
      return [
        ...refusal === undefined ? [] : [
          cell('as written', caller, refusal, at(pattern)),
          ...pattern.includes(':') ? [cell('an encoded parameter', caller, refusal, at(pattern, sample.params, true))] : []
        ],
        ...heads.flatMap(head => head === undefined ? [] : [cell('HEAD', caller, head, at(pattern), 'HEAD')]),
        // No route has these spellings, so the short form asks each route for all of them, but each caller for one.
        ...Object.entries(spellings(pattern)).filter((_, which) => isLong || which % spellingTurns === (index + turn) % spellingTurns)
          .map(([what, path]) => cell(what, caller, 404, at(path)))
      ]
    })
    const admit = async (): Promise<Cell[]> => {
      const admitted: Cell[] = []
      for (const caller of callers.filter(caller => refusalFor(caller) === undefined)) {
        const expected = admittedStatus(route, sample, caller)
        const isFresh = sample.endsSessions === true && caller.user !== undefined
        const as = isFresh ? { ...caller, bearer: (await signIn(url, caller.user, password)).cookie.replace('session=', '') } : caller
        const path = at(pattern, sample.admittedParams ?? sample.params)
        admitted.push(cell('as written', as, expected, path), ...method === 'GET' ? [cell('HEAD', as, expected, path, 'HEAD')] : [])
      }
      return admitted
    }
    return { label, refused, admit, last: sample.endsSessions === true ? 1 + Number(method === 'DELETE') : 0 }
  })

  await untilQuiet(operator)
  const before = await fingerprint(operator)
  const batch = isLong ? 1 : 8
  for (let from = 0; from < rows.length; from += batch) {
    const some = rows.slice(from, from + batch)
    assert.deepEqual(await run(url, some.flatMap(({ refused }) => refused), 24), [])
    const changed = `one of these changed something for a caller it refused: ${some.map(({ label }) => label).join(', ')}`
    assert.deepEqual(await fingerprint(operator), before, changed)
  }
  let asked = rows.reduce((sum, { refused }) => sum + refused.length, 0)
  for (const { admit } of rows.toSorted((a, b) => a.last - b.last)) {
    const admitted = await admit()
    assert.deepEqual(await run(url, admitted, 1), [])
    asked += admitted.length
  }
  t.diagnostic(`${table.routes.length} routes, ${callers.length} callers, ${asked} requests`)
})
