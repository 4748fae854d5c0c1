// A database for each test: empty, or a copy of one that has the core schema and the queue's.

import { createHash, randomUUID } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { createMigrations } from '../../core/resources/migrations.ts'
import { connectClient } from '../../core/resources/postgres-client.ts'
import type { Client } from '../../core/resources/postgres-client.ts'
import { openQueues } from '../../core/tasks/queue.ts'
import { clock, createLog } from './part.ts'
import { undo } from './undo.ts'

const folder = join(import.meta.dirname, '../../migrations')

/** The URL of a database of this test's own, dropped after it. */
export async function createDatabase (t: TestContext, { migrated = false } = {}): Promise<string> {
  const name = `test_${randomUUID().replaceAll('-', '')}`
  const template = migrated ? await prepareTemplate() : 'template1'
  await withClient(serverUrl(), async client => client.query(`CREATE DATABASE ${name} TEMPLATE ${template}`))
  undo(t, () => withClient(serverUrl(), client => client.query(`DROP DATABASE ${name} WITH (FORCE)`)))
  return urlOf(name)
}

// Whoever comes first makes it; the name holds what it was made from, so that edited files make another.
let prepared: Promise<string> | undefined
function prepareTemplate (): Promise<string> {
  return prepared ??= withClient(serverUrl(), async client => {
    const files = readdirSync(folder).filter(file => file.endsWith('.sql') && !file.endsWith('.down.sql')).sort()
      .map(file => readFileSync(join(folder, file), 'utf8'))
    const name = `template_${createHash('sha256').update(files.join('\0')).digest('hex').slice(0, 16)}`
    await client.query('SELECT pg_advisory_lock(1)')
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [name])
    if (rowCount === 0) {
      const draft = `${name}_draft`
      await client.query(`DROP DATABASE IF EXISTS ${draft}`)
      await client.query(`CREATE DATABASE ${draft}`)
      await createMigrations({ owner: 'core', folder, schema: 'public', url: urlOf(draft), log: createLog(), clock }).up()
      // A second of work, which each of a hundred hosts and houses would do again.
      const queues = await openQueues({ url: urlOf(draft), maxConnections: 1, historyHours: 1 }, createLog())
      await queues.close()
      await client.query(`ALTER DATABASE ${draft} RENAME TO ${name}`)
    }
    return name
  })
}

async function withClient<T> (url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = await connectClient({ url, applicationName: 'bulkhead tests', searchPath: 'public', connectTimeoutMs: 10_000 })
  try { return await work(client) } finally { await client.end() }
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
