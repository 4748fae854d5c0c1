import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { sql, z, type Postgres, type QueueRun, type Scope } from '../../core/contract/index.ts'
import type { RouteRecord } from '../../core/handover/route-record.ts'
import type { TaskRecord } from '../../core/handover/task-record.ts'
import { findRouteProblems } from '../../core/http/index.ts'
import { createContainer, discoverPlugins, loadDefinitions, registerBulkhead } from '../../core/plugin-runtime/index.ts'
import { createScope } from '../../core/plugin-runtime/scope/scope.ts'
import { createMigrations } from '../../core/resources/migrations/migrations.ts'
import host from '../../package.json' with { type: 'json' }
import { noWork, refuse } from '../plugin-runtime/fixture.ts'
import { createDatabase } from '../support/database.ts'
import { clock, createLog } from '../support/part.ts'
import { openTestPostgres } from '../support/postgres.ts'

registerBulkhead()

interface Note { id: string, authorId: string, title: string, body: string, isShared: boolean, createdAt: string, updatedAt: string }
interface Started {
  postgres: Postgres
  routes: readonly RouteRecord[]
  tasks: readonly TaskRecord[]
  service: Scope['plugins']['notes']
  migrations: ReturnType<typeof createMigrations>
  /** Calls a handler as the host does: input through the schemas, the answer through `returns`. */
  call (user: string, method: string, path: string, input?: { params?: object, query?: object, body?: object }): Promise<unknown>
  addUser (name: string): Promise<string>
}

async function startNotes (t: TestContext, { retentionDays = 0 } = {}): Promise<Started> {
  const url = await createDatabase(t, { migrated: 'plugins' })
  const { plugin: postgres } = await openTestPostgres(t, { url })
  const { candidates } = await discoverPlugins({
    paths: [join(import.meta.dirname, '../../plugins')], packages: [], disabled: [], enabled: [], production: false, hostVersion: host.version
  })
  const { plugins: [plugin], failures } = await loadDefinitions(candidates.filter(({ id }) => id === 'notes'), { clock, budgetMs: 10_000, corePermissions: [] })
  assert.ok(plugin, JSON.stringify(failures))
  const { candidate, definition } = plugin
  const migrations = createMigrations({ url, owner: 'notes', folder: candidate.migrations ?? '', schema: 'notes', clock, log: createLog() })
  await migrations.up()

  const { scope, registration } = createScope({
    container: createContainer({ postgres: () => postgres }), candidate, config: { retentionDays }, log: createLog(), clock, owner: plugin.owner,
    signal: new AbortController().signal, services: new Map(), work: noWork, mayPublish: () => undefined,
    fetch: refuse, undo: () => undefined, onFault: () => undefined
  })
  const service = await definition.start(scope) as Scope['plugins']['notes']
  const { routes, tasks } = registration
  return {
    postgres, routes, tasks, service, migrations,
    call: async (user, method, path, { params = {}, query = {}, body = {} } = {}) => {
      const route = routes.find(route => route.method === method && route.path === path)
      assert.ok(route)
      const { options } = route
      const input = { params: options.params?.parse(params), query: options.query?.parse(query), body: options.body?.parse(body) }
      const answer: unknown = await route.handler({ input, user: { id: user } } as never)
      return options.returns === undefined ? answer : options.returns.parse(answer)
    },
    addUser: name => postgres.oneFirst(sql.type(z.object({ id: z.uuid() }))`
      insert into users (name, email, password_hash) values (${name}, ${`${name}@example.org`}, 'x') returning id
    `)
  }
}

test('every route of notes can be served, and its permissions are its own', async (t) => {
  const { routes } = await startNotes(t)
  assert.deepEqual(findRouteProblems(routes), [])
  assert.deepEqual(routes.map(({ method, path, options }) => `${method} ${path} ${options.permission ?? ''}`), [
    'get / note:read', 'post / note:write', 'get /:id note:read', 'patch /:id note:write', 'delete /:id note:write'
  ])
})

test('an author writes, reads, changes and deletes a note', async (t) => {
  const { call, addUser } = await startNotes(t)
  const ada = await addUser('ada')
  const made = await call(ada, 'post', '/', { body: { title: 'Loom' } }) as Note
  assert.deepEqual({ ...made, id: '', createdAt: '', updatedAt: '' }, { id: '', authorId: ada, title: 'Loom', body: '', isShared: false, createdAt: '', updatedAt: '' })
  const params = { id: made.id }
  assert.deepEqual(await call(ada, 'get', '/:id', { params }), made)
  const changed = await call(ada, 'patch', '/:id', { params, body: { body: 'of cards' } }) as Note
  assert.deepEqual({ ...changed, updatedAt: '' }, { ...made, body: 'of cards', updatedAt: '' })
  assert.ok(changed.updatedAt > made.updatedAt)
  assert.equal(await call(ada, 'delete', '/:id', { params }), undefined)
  await assert.rejects(call(ada, 'get', '/:id', { params }), { status: 404 })
})

test('a private note is not there for others; a shared one they see and cannot change', async (t) => {
  const { call, addUser, service } = await startNotes(t)
  const [ada, eve] = [await addUser('ada'), await addUser('eve')]
  const { id } = await call(ada, 'post', '/', { body: { title: 'Loom' } }) as Note
  const params = { id }
  for (const [method, body] of [['get', {}], ['patch', { title: 'Mine' }], ['delete', {}]] as const) {
    await assert.rejects(call(eve, method, '/:id', { params, body }), { status: 404 })
  }
  await assert.rejects(service.find(eve, id), { status: 404 })
  assert.deepEqual(await call(eve, 'get', '/'), { items: [], total: 0 })

  await call(ada, 'patch', '/:id', { params, body: { isShared: true } })
  assert.equal((await call(eve, 'get', '/:id', { params }) as Note).title, 'Loom')
  assert.equal((await service.find(eve, id)).title, 'Loom')
  assert.equal((await call(eve, 'get', '/') as { total: number }).total, 1)
  await assert.rejects(call(eve, 'patch', '/:id', { params, body: { title: 'Mine' } }), { status: 403 })
  await assert.rejects(call(eve, 'delete', '/:id', { params }), { status: 403 })
  assert.equal((await call(ada, 'get', '/:id', { params }) as Note).title, 'Loom')
})

test('a list is newest first, in pages, with the total of all of them', async (t) => {
  const { call, addUser } = await startNotes(t)
  const ada = await addUser('ada')
  for (const title of ['one', 'two', 'three']) await call(ada, 'post', '/', { body: { title } })
  const titles = async (query: object): Promise<unknown> => {
    const { items, total } = await call(ada, 'get', '/', { query }) as { items: Note[], total: number }
    return [items.map(({ title }) => title), total]
  }
  assert.deepEqual(await titles({}), [['three', 'two', 'one'], 3])
  assert.deepEqual(await titles({ limit: '2', offset: '1' }), [['two', 'one'], 3])
  assert.deepEqual(await titles({ offset: '9' }), [[], 3])
})

test('text that is too long, empty or holds control characters is refused', async (t) => {
  const { routes } = await startNotes(t)
  const body = routes.find(({ method }) => method === 'post')?.options.body
  const query = routes.find(({ method, path }) => method === 'get' && path === '/')?.options.query
  const passes = (note: object): boolean | undefined => body?.safeParse({ title: 'x', ...note }).success
  assert.deepEqual([{ title: 'é'.repeat(500) }, { body: 'x'.repeat(100_000) }, { body: 'tab\tand\r\nline' }, { title: '🙂' }].map(passes), [true, true, true, true])
  assert.deepEqual([
    { title: '' }, { title: 'x'.repeat(501) }, { title: 'a\nb' }, { title: 'a\u0000' }, { title: 'a\u0085' }, { title: '\ud800' },
    { body: 'x'.repeat(100_001) }, { body: 'a\u0000' }, { body: '\u001b[31m' }, { title: 7 }, { isShared: 'yes' }
  ].map(passes), Array(11).fill(false))
  assert.deepEqual(['0', '101', '1.5', 'x', '', ['1', '2']].map(limit => query?.safeParse({ limit }).success), Array(6).fill(false))
})

test('old notes are purged only where a retention is set', async (t) => {
  assert.deepEqual((await startNotes(t)).tasks.map(({ name }) => name), ['count'])
  const { call, addUser, tasks, postgres } = await startNotes(t, { retentionDays: 30 })
  const ada = await addUser('ada')
  const old = await call(ada, 'post', '/', { body: { title: 'old' } }) as Note
  await call(ada, 'post', '/', { body: { title: 'new' } })
  await postgres.query(sql.unsafe`alter table notes.note disable trigger note_updated_at`)
  await postgres.query(sql.unsafe`update notes.note set updated_at = now() - interval '31 days' where id = ${old.id}`)
  for (const { handler } of tasks) await handler({ signal: new AbortController().signal, log: createLog() } as QueueRun)
  assert.deepEqual((await call(ada, 'get', '/') as { items: Note[] }).items.map(({ title }) => title), ['new'])
})

test('the notes go with their author, and the table with the migration', async (t) => {
  const { call, addUser, postgres, migrations } = await startNotes(t)
  const ada = await addUser('ada')
  await call(ada, 'post', '/', { body: { title: 'Loom' } })
  await postgres.query(sql.unsafe`delete from users where id = ${ada}`)
  const Count = z.object({ count: z.int() })
  assert.equal(await postgres.oneFirst(sql.type(Count)`select count(*) as count from notes.note`), 0)
  assert.deepEqual(await migrations.down(1), ['0001_note'])
  assert.equal(await postgres.exists(sql.unsafe`select from pg_tables where schemaname = 'notes'`), false)
  assert.deepEqual(await migrations.up(), ['0001_note'])
})
