// The host's own pool on a database of the test's own.

import type { TestContext } from 'node:test'
import { openPostgres } from '../../core/resources/postgres/postgres-resource.ts'
import type { PostgresSettings } from '../../core/resources/postgres/postgres-resource.ts'
import { createTaskConnections } from '../../core/resources/postgres/postgres-task-connections.ts'
import { openParts } from './part.ts'
import { undo } from './undo.ts'

/** Long deadlines: a busy machine is no failure. A test that waits for one to be over sets it. */
export const postgresSettings = {
  poolMax: 4, connectTimeoutMs: 20_000, acquireTimeoutMs: 20_000, acquireQueueMax: 100, statementTimeoutMs: 30_000
} as const satisfies Partial<PostgresSettings>

/** Closed after the test. `postgres` is the host's own handle; `plugin` is that of a plugin, whose sessions find tables in `public`. */
export async function openTestPostgres (t: TestContext, settings: Partial<PostgresSettings> & { url: string }, findUser?: () => string | undefined) {
  const resource = await openPostgres({ ...postgresSettings, ...settings }, openParts(), findUser)
  let closing: Promise<void> | undefined
  const close = () => closing ??= resource.close()
  undo(t, close)
  return { ...resource, close, client: resource.value, postgres: resource.value.host, plugin: resource.value.scoped('test') }
}

/** How a task queue without a pool of the host's reaches the database. */
export const connectTasks = (url: string) => createTaskConnections(url, openParts())
