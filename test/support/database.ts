// A database for each test: empty, or a copy of one that a host has migrated.

import { createHash, randomUUID } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { hostSets, migrateAll, type MigrationSet } from '../../core/resources/migrations/migrations.ts'
import { connectClient, streamOf } from '../../core/resources/postgres/postgres-client.ts'
import type { Client } from '../../core/resources/postgres/postgres-client.ts'
import { openQueues } from '../../core/tasks/queue/pg-boss-queues.ts'
import { clock, createLog } from './part.ts'
import { connectTasks } from './postgres.ts'
import { undo } from './undo.ts'

const root = join(import.meta.dirname, '../..')
/** The migrations that a template already has: none, those of the host and the queue, or those of the plugins of this repository as well. */
type Migrated = false | 'core' | 'plugins'

/** The URL of a database of this test's own, dropped after it. */
export async function createDatabase (t: TestContext, { migrated = false }: { migrated?: Migrated } = {}): Promise<string> {
  const name = `test_${randomUUID().replaceAll('-', '')}`
  const template = migrated === false ? 'template1' : await prepareTemplate(migrated)
  await askServer(`CREATE DATABASE ${name} TEMPLATE ${template} STRATEGY file_copy`)
  undo(t, () => askServer(`DROP DATABASE ${name} WITH (FORCE)`))
  return urlOf(name)
}

const prepared = new Map<Migrated, Promise<string>>()
function prepareTemplate (migrated: 'core' | 'plugins'): Promise<string> {
  const known = prepared.get(migrated)
  if (known !== undefined) return known
  const template = makeTemplate(setsOf(migrated))
  prepared.set(migrated, template)
  return template
}

function setsOf (migrated: 'core' | 'plugins'): MigrationSet[] {
  const host = hostSets(root)
  if (migrated === 'core') return host
  const plugins = readdirSync(join(root, 'plugins')).sort().map(id => ({ owner: id, folder: join(root, 'plugins', id, 'migrations'), schema: id }))
  return [...host, ...plugins.filter(({ folder }) => existsSync(folder))]
}

/** The first test that needs it makes it; the name holds what it was made from, so that edited files make another. */
async function makeTemplate (sets: readonly MigrationSet[]): Promise<string> {
  const files = sets.flatMap(({ folder }) => readdirSync(folder).filter(file => file.endsWith('.sql') && !file.endsWith('.down.sql')).sort()
    .map(file => readFileSync(join(folder, file), 'utf8')))
  const name = `template_${createHash('sha256').update(files.join('\0')).digest('hex').slice(0, 16)}`
  await askServer('SELECT pg_advisory_lock(1)')
  try {
    const { rowCount } = await askServer('SELECT FROM pg_database WHERE datname = $1', [name])
    if (rowCount !== 0) return name
    const draft = `${name}_draft`
    await askServer(`DROP DATABASE IF EXISTS ${draft}`)
    await askServer(`CREATE DATABASE ${draft}`)
    await migrateAll({ url: urlOf(draft), sets, log: createLog(), clock })
    // A second of work, which each of a hundred hosts and houses would do again.
    const queues = await openQueues({ connections: connectTasks(urlOf(draft)), maxConnections: 1, historyHours: 1 }, { log: createLog(), clock })
    await queues.close()
    await askServer(`ALTER DATABASE ${draft} RENAME TO ${name}`)
    return name
  } finally {
    await askServer('SELECT pg_advisory_unlock(1)')
  }
}

let connected: Promise<Client> | undefined
let asked = 0
/** In one connection for all tests of a file, as opening one costs as much as making a database. It keeps the process alive while it is asked. */
async function askServer (text: string, values: readonly unknown[] = []): Promise<{ rowCount: number | null }> {
  asked++
  connected ??= connectClient({ url: serverUrl(), applicationName: 'bulkhead tests', searchPath: 'public', connectTimeoutMs: 20_000 })
  const client = await connected
  streamOf(client).ref()
  try {
    return await client.query(text, [...values])
  } finally {
    if (--asked === 0) streamOf(client).unref()
  }
}

/** The URL of the server's own database, for tests that leave nothing behind. */
export function serverUrl (): string {
  const url = process.env['TEST_DATABASE_URL']
  if (url === undefined) throw new Error('TEST_DATABASE_URL is not set: run with --test-global-setup=test/support/global-setup.ts')
  return url
}

function urlOf (database: string): string {
  const url = new URL(serverUrl())
  url.pathname = `/${database}`
  return url.href
}
