// Replicas with the plugin notify on one database, beside a real mail server, and people in them.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import pg from 'pg'
import { signIn, type Client } from '../support/client.ts'
import { createDatabase } from '../support/database.ts'
import { openStream, type EventStream } from '../support/event-stream.ts'
import { startHost, temporaryFolder, type HostProcess } from '../support/host.ts'
import { writePlugin } from '../support/plugin.ts'
import { startMailServer, type MailServer } from '../support/smtp-server.ts'
import { undo } from '../support/undo.ts'

export const password = 'correct horse battery'

/** Those of the plugin projects, whose place the teller takes: only the plugin that declares an event publishes it. */
const toldEvents = Object.fromEntries([
  'issue.opened', 'issue.changed', 'comment.created', 'merge-request.reviewed', 'merge-request.merged', 'webhook.disabled'
].map(name => [name, { description: 'A test says so' }]))

/** Sends and publishes whatever it is asked to. */
const teller = `
import { definePlugin, z } from 'bulkhead'
export default definePlugin({ start ({ routes, events, plugins, postgres }) {
  routes.post('/send', { public: 'a test', body: z.object({ to: z.string(), notice: z.looseObject({}), times: z.int().default(1) }) }, async ({ input }) => {
    const { to, notice, times } = input.body
    for (let at = 1; at <= times; at++) await plugins.notify.send(to, { ...notice, subject: notice.subject.replace('%', at) })
  })
  routes.post('/rolled-back', { public: 'a test', body: z.object({ to: z.string() }) }, async ({ input }) => {
    await postgres.transaction(async tx => {
      await plugins.notify.send(input.body.to, { kind: 'test', subject: 'never', text: '' }, { in: tx })
      throw new Error('rolled back')
    })
  })
  routes.post('/publish', { public: 'a test', body: z.object({ name: z.string(), payload: z.looseObject({}) }) }, async ({ input }) => {
    await events.publish(input.body.name, input.body.payload)
  })
  routes.get('/html', { public: 'a test', returns: z.object({ html: z.string() }) }, () => ({ html: plugins.notify.html\`<b>\${'<i>'}</b>\` }))
} })`

export interface Person extends Client { readonly id: string, readonly name: string, readonly email: string }
export interface Listed { items: { id: string, kind: string, subject: string, text: string }[], total: number, unread: number }

export interface Town {
  readonly hosts: readonly HostProcess[]
  readonly urls: readonly string[]
  readonly mail: MailServer
  readonly admin: Client
  /** One more replica. */
  start (): Promise<HostProcess>
  rows (query: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>
  addPerson (name: string, host?: 0 | 1): Promise<Person>
  addProject (owner: Person, visibility?: string): Promise<{ id: string, name: string, ownerId: string }>
  send (to: Person, notice?: object, times?: number): Promise<void>
  publish (name: string, payload: object): Promise<void>
  list (person: Person, query?: string): Promise<Listed>
  stream (person: Person, host?: 0 | 1, headers?: Record<string, string>): Promise<EventStream>
}

export async function openTown (t: TestContext, replicas: number): Promise<Town> {
  const url = await createDatabase(t, { migrated: 'plugins' })
  const database = new pg.Client(url)
  await database.connect()
  undo(t, () => database.end())
  const rows: Town['rows'] = async (query, values = []) => (await database.query<Record<string, unknown>>(query, [...values])).rows
  const mail = await startMailServer(t)
  const plugins = await temporaryFolder(t)
  await writePlugin(plugins, 'teller', { requires: { notify: '^1.0.0' }, resources: ['postgres'], events: toldEvents }, teller)
  const env = {
    DATABASE_URL: url, VALKEY_URL: process.env['TEST_VALKEY_URL'] ?? '', PLATFORM_ADMIN_PASSWORD: password, PLATFORM_MASTER_KEY: '0123456789abcdef'.repeat(4),
    PLATFORM_PLUGINS_PATH: `${join(import.meta.dirname, '../../plugins')}:${plugins}`, PLATFORM_EGRESS_ALLOW: '127.0.0.1', NOTIFY_HEARTBEAT_MS: '200',
    PLATFORM_PLUGINS_DISABLED: 'projects',
    PLATFORM_SMTP_HOST: '127.0.0.1', PLATFORM_SMTP_PORT: String(mail.port), PLATFORM_SMTP_FROM: 'platform@bulkhead.example'
  }
  const start = async (): Promise<HostProcess> => {
    const host = startHost(t, { ...env, PLATFORM_DATA_PATH: await temporaryFolder(t) })
    await host.ready()
    return host
  }
  const hosts: HostProcess[] = []
  while (hosts.length < replicas) hosts.push(await start())
  const urls = await Promise.all(hosts.map(async host => (await host.ready()).url))
  const admin = await signIn(urls[0] ?? '', 'admin', password)
  const ok = async (answer: Response, status: number): Promise<unknown> => {
    const text = await answer.text()
    assert.equal(answer.status, status, text)
    return text === '' ? undefined : JSON.parse(text) as unknown
  }
  const ask = async (path: string, body: object): Promise<void> => { await ok(await admin.post(`/api/teller/${path}`, body), 204) }
  let adding: Promise<unknown> = Promise.resolve()
  return {
    hosts, urls, mail, admin, rows, start,
    addPerson (name, host = 0) {
      const email = `${name}@example.org`
      const add = async (): Promise<Person> => {
        const { id } = await ok(await admin.post('/api/users', { name, email, password }), 201) as { id: string }
        return { ...await signIn(urls[host] ?? '', name, password), id, name, email }
      }
      // One after another: a host hashes so many passwords at a time and no more.
      const added = adding.then(add)
      adding = added.catch(() => undefined)
      return added
    },
    async addProject (owner, visibility = 'private') {
      const name = `project-${randomUUID()}`
      const [row] = await rows('insert into projects (owner_id, name, visibility) values ($1, $2, $3) returning id', [owner.id, name, visibility])
      return { id: String(row?.['id']), name, ownerId: owner.id }
    },
    send: (to, notice = {}, times = 1) => ask('send', { to: to.id, notice: { kind: 'test', subject: 'Hello %', text: 'World', ...notice }, times }),
    publish: (name, payload) => ask('publish', { name, payload }),
    list: async (person, query = '') => await ok(await person.get(`/api/notifications${query}`), 200) as Listed,
    stream: (person, host = 0, headers = {}) => openStream(`${urls[host] ?? ''}/api/notifications/stream`, { cookie: person.cookie, ...headers })
  }
}
