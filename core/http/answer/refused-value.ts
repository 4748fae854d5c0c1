// Logs that the database refused a value which had passed the route's schema. The caller is answered 422, which may
// hide a bug: the schema accepts more than the database, or the value did not come from the caller.

import { ValidationFailed } from '../../contract/index.ts'
import type { Log } from '../../contract/index.ts'
import { read } from '../../contract/thrown.ts'

export type NoteRefusedValue = (thrown: unknown, facts: { route: string | undefined }) => void

/**
 * SQLSTATEs about a value: data exceptions (22), and a value that exceeds a limit of the server (54000). Broken
 * constraints are not among them, because a plugin may rely on constraints.
 */
const aboutValues = /^(?:22...|54000)$/
const everyMs = 60_000
const keysMax = 1_000

/** Writes at most one line a minute for each route and SQLSTATE, so that callers cannot fill the log. */
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
  const code = typeof cause === 'object' && cause !== null ? read(cause, 'code') : undefined
  return typeof code === 'string' && aboutValues.test(code) ? code : undefined
}
