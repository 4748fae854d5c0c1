// The host's own pool on a database of the test's own.

import type { TestContext } from 'node:test'
import { openPostgres } from '../../core/resources/postgres.ts'
import type { PostgresSettings } from '../../core/resources/postgres.ts'
import { openParts } from './part.ts'
import { undo } from './undo.ts'

/** Short deadlines, so that a test that waits for one is quick. */
export const postgresSettings = {
  poolMax: 4, connectTimeoutMs: 3_000, acquireTimeoutMs: 500, acquireQueueMax: 20, statementTimeoutMs: 10_000
} as const satisfies Partial<PostgresSettings>

/** Closed after the test. `postgres` is the host's own handle; `plugin` is that of a plugin, whose sessions find tables in `public`. */
export async function openTestPostgres (t: TestContext, settings: Partial<PostgresSettings> & { url: string }, findUser?: () => string | undefined) {
  const resource = await openPostgres({ ...postgresSettings, ...settings }, openParts(), findUser)
  let closing: Promise<void> | undefined
  const close = () => closing ??= resource.close()
  undo(t, close)
  return { ...resource, close, client: resource.value, postgres: resource.value.host, plugin: resource.value.scoped('test') }
}
