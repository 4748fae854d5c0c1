// A real host with the plugin projects, for the tests of this folder: people, tokens, and a plugin that keeps every event and asks what others may.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { adminPassword, cheapHash } from '../../access/fixture.ts'
import { signIn } from '../../support/client.ts'
import { createDatabase } from '../../support/database.ts'
import { startHost, temporaryFolder, type HostProcess } from '../../support/host.ts'
import { writePlugin } from '../../support/plugin.ts'
import { until } from '../../support/until.ts'
import { openOperator, type Operator } from '../../system/harbour-fixture.ts'

const plugins = join(import.meta.dirname, '../../../plugins')

export interface Body extends Record<string, unknown> {
  id: string
  number: number
  status: string
  items: Body[]
  total: number
  nextCursor: string | null
  detail: string
  errors: { path: string }[]
  token: string
}

/** Someone who asks. Each call gives the body, and fails where the status is not the one that is expected. */
export interface Person {
  readonly id: string
  get (path: string, status?: number): Promise<Body>
  post (path: string, body?: object, status?: number): Promise<Body>
  patch (path: string, body: object, status?: number): Promise<Body>
  delete (path: string, status?: number): Promise<Body>
}

export interface House extends Operator {
  readonly url: string
  readonly host: HostProcess
  readonly admin: Person
  /** A person with a role everywhere, or none. */
  person (role?: string): Promise<Person>
  /** Gives a role, everywhere unless a project is named. */
  give (person: Person, role: string, projectId?: string): Promise<unknown>
  /** The same person through an API token, at another replica where one is named. */
  through (person: Person, token: { scopes?: string[], projectId?: string }, at?: string): Promise<Person>
  /** Starts another host on the same database; resolves with its URL. */
  startReplica (): Promise<string>
  /** The payloads of an event so far about a project, in order. */
  heard (event: string, projectId: string): Promise<Record<string, unknown>[]>
}

const told = [
  'project.created', 'project.changed', 'project.deleted', 'project.restored', 'issue.opened', 'issue.changed', 'issue.closed', 'issue.reopened',
  'comment.created', 'comment.changed', 'comment.deleted', 'merge-request.opened', 'merge-request.changed', 'merge-request.closed',
  'merge-request.reopened', 'merge-request.merged', 'merge-request.reviewed', 'webhook.disabled'
]

async function writeEar (folder: string): Promise<void> {
  await writePlugin(folder, 'ear', { resources: ['postgres'], requires: { projects: '^1.0.0' } }, `
    import { definePlugin, sql, z } from 'bulkhead'
    const params = z.object({ projectId: z.uuid(), userId: z.uuid() })
    export default definePlugin({ start ({ events, routes, postgres, plugins: { projects } }) {
      routes.get('/find/:projectId/:userId', { public: 'a test', params, returns: z.object({ name: z.string().nullable() }) },
        async ({ input: { params } }) => ({ name: (await projects.find(params.userId, params.projectId))?.name ?? null }))
      routes.get('/require/:projectId/:right', { signedIn: 'a test', project: 'params.projectId', params: z.object({ projectId: z.uuid(), right: z.string() }), returns: z.object({ name: z.string() }) },
        ({ user, input: { params } }) => projects.require(user, params.projectId, params.right))
      routes.post('/announce', { public: 'a test', body: z.object({ projectId: z.uuid(), event: z.string(), fails: z.boolean() }) }, ({ input: { body } }) =>
        postgres.transaction(async tx => {
          await projects.announce(body.projectId, body.event, { ref: 'refs/heads/main' }, { in: tx })
          if (body.fails) throw new Error('it fails')
        }))
      for (const name of ${JSON.stringify(told)}) {
        events.on(name, z.looseObject({}), ({ payload, tx }) => tx.query(sql.unsafe\`insert into ear.heard (name, payload) values (\${name}, \${JSON.stringify(payload)}::jsonb)\`))
      }
    } })`)
  await mkdir(join(folder, 'ear/migrations'))
  await writeFile(join(folder, 'ear/migrations/0001_heard.sql'), 'create table ear.heard (id bigint generated always as identity, name text, payload jsonb);\n')
  await writeFile(join(folder, 'ear/migrations/0001_heard.down.sql'), 'drop table ear.heard;\n')
}

export async function openHouse (t: TestContext, env: Record<string, string> = {}): Promise<House> {
  const database = await createDatabase(t, { migrated: 'plugins' })
  const folder = await temporaryFolder(t)
  await writeEar(folder)
  const start = async (): Promise<HostProcess> => startHost(t, {
    DATABASE_URL: database, PLATFORM_DATA_PATH: await temporaryFolder(t), PLATFORM_ADMIN_PASSWORD: adminPassword, PLATFORM_MASTER_KEY: 'ab'.repeat(32),
    PLATFORM_PLUGINS_PATH: `${plugins}:${folder}`,
    // Some tests send hundreds of requests at once as one user: what keeps users apart is not what they test.
    PLATFORM_REQUESTS_PER_USER_MAX: '1000', DATABASE_POOL_MAX: '20', DATABASE_PLUGIN_CONNECTIONS: '16', DATABASE_ACQUIRE_TIMEOUT_MS: '30000',
    ...env
  })
  const host = await start()
  const { url } = await host.ready()
  const operator = await openOperator(t, database)

  const personWith = (id: string, headers: Record<string, string>, at = url): Person => {
    const ask = async (method: string, path: string, body: object | undefined, status: number): Promise<Body> => {
      const answer = await fetch(`${at}/api${path}`, {
        method,
        headers: { ...headers, ...body === undefined ? {} : { 'content-type': 'application/json' } },
        ...body === undefined ? {} : { body: JSON.stringify(body) }
      })
      const text = await answer.text()
      assert.equal(answer.status, status, `${method} ${path} answered ${answer.status}: ${text}`)
      return (text === '' ? {} : JSON.parse(text)) as Body
    }
    return {
      id,
      get: (path, status = 200) => ask('GET', path, undefined, status),
      post: (path, body, status = 201) => ask('POST', path, body, status),
      patch: (path, body, status = 200) => ask('PATCH', path, body, status),
      delete: (path, status = 204) => ask('DELETE', path, undefined, status)
    }
  }
  const signedIn = async (name: string, id: string): Promise<Person> =>
    personWith(id, { cookie: (await signIn(url, name, adminPassword)).cookie, origin: url })

  const [row] = await operator.rows('select id from users where name = \'admin\'')
  const admin = await signedIn('admin', String(row?.id))
  const roles = new Map((await admin.get('/admin/roles')).items.map(({ name, id }) => [String(name), id]))

  const give: House['give'] = (person, role, projectId) =>
    admin.post(`/admin/users/${person.id}/roles`, { roleId: roles.get(role), ...projectId === undefined ? {} : { projectId } })
  return {
    ...operator,
    url,
    host,
    admin,
    give,
    person: async role => {
      const name = `p-${randomUUID()}`
      // Beside the API, because a password's real cost is not what is tested here.
      const [row] = await operator.rows('insert into users (name, email, password_hash) values ($1, $2, $3) returning id', [name, `${name}@example.org`, cheapHash])
      const person = await signedIn(name, String(row?.id))
      if (role !== undefined) await give(person, role)
      return person
    },
    through: async (person, token, at) => personWith(person.id, {
      authorization: `Bearer ${(await person.post('/tokens', { name: 'a token', ...token })).token}`
    }, at),
    startReplica: async () => (await (await start()).ready()).url,
    heard: async (event, projectId) => {
      await until(async () => (await operator.rows('select from pgboss.job where state < \'completed\' and name like \'ear/%\'')).length === 0)
      const rows = await operator.rows('select payload from ear.heard where name = $1 and payload #>> \'{project,id}\' = $2 order by id', [event, projectId])
      return rows.map(({ payload }) => payload as Record<string, unknown>)
    }
  }
}

/** Walks a list to its end and gives every item. */
export async function all (person: Person, path: string, limit: number): Promise<Body[]> {
  const items: Body[] = []
  let cursor: string | null = ''
  do {
    const page: Body = await person.get(`${path}${path.includes('?') ? '&' : '?'}limit=${limit}${cursor === '' ? '' : `&cursor=${cursor}`}`)
    assert.ok(page.items.length <= limit)
    items.push(...page.items)
    cursor = page.nextCursor
  } while (cursor !== null)
  return items
}
