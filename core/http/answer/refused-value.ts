// Logs values that passed a route's schema and were refused by the database. The caller is answered 422, which may hide a bug: a schema that takes
// more than the database, or a value that is not the caller's at all.

import { ValidationFailed } from '../../contract/index.ts'
import type { Log } from '../../contract/index.ts'

export type NoteRefusedValue = (thrown: unknown, facts: { route: string | undefined }) => void

/** The classes of SQLSTATE that mean a value: data exceptions, and what exceeds a limit of the server. Broken constraints are a plugin's to use. */
const aboutValues = /^(?:22...|54000)$/
const everyMs = 60_000
const keysMax = 1_000

/** One line a minute for each route and SQLSTATE, so that callers cannot fill the log. */
export function createRefusedValueLog (log: Log, now: () => number): NoteRefusedValue {
  const lastAt = new Map<string, number>()
  return (thrown, facts) => {
    const sqlState = thrown instanceof ValidationFailed ? sqlStateOf(thrown.cause) : undefined
    if (sqlState === undefined) return
    const key = `${facts.route ?? ''} ${sqlState}`
    const last = lastAt.get(key)
    if (last !== undefined && now() - last < everyMs) return
    if (lastAt.size >= keysMax) lastAt.clear()
    lastAt.set(key, now())
    log.warn({ ...facts, sqlState }, `the database refused a value that the schema of the route let through (SQLSTATE ${sqlState}); the caller was answered 422. ` +
      'Narrow the schema; if the value is not the caller\'s, it is a bug of the plugin.')
  }
}

function sqlStateOf (cause: unknown): string | undefined {
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : undefined
  return typeof code === 'string' && aboutValues.test(code) ? code : undefined
}
