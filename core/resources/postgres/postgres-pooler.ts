// Examines a connection pooler between the host and PostgreSQL: the host needs sessions of its own, and enough of them.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../../contract/index.ts'
import { Client, endClient } from './postgres-client.ts'
import type { ClientSettings } from './postgres-client.ts'
import { placeOf } from './postgres-server-choice.ts'

/** Thrown for a pooler that hands a session to another client after each transaction or statement. */
export class SessionsAreShared extends Error {
  readonly code = 'BULKHEAD_SESSIONS_ARE_SHARED'
  override readonly name = 'SessionsAreShared'

  constructor (url: string, cause?: unknown) {
    super(`The connection pooler at ${placeOf(url)} (such as PgBouncer) shares sessions among clients: it pools transactions or statements. ` +
      'Notifications (LISTEN), advisory locks, session settings and named statements do not work through it. ' +
      'Set pool_mode = session for this database, or let DATABASE_URL lead to PostgreSQL itself.', { cause })
  }
}

const rounds = 3
const waitMs = 2_000
const endWithinMs = 1_000

/**
 * `needed` is how many sessions this replica may open; it has one already. Throws `SessionsAreShared`; too few sessions are a warning,
 * because a pooler lets further clients wait.
 */
export async function examinePooler (settings: ClientSettings, needed: number, log: Log): Promise<void> {
  const clients = Array.from({ length: Math.max(2, needed - 1) }, () => new Client(settings))
  try {
    let count = 1
    const connecting = clients.map(client => client.connect().then(() => { count += 1 }, () => undefined))
    await Promise.race([Promise.all(connecting), sleep(waitMs)])
    const [one, other] = clients.filter(({ isPooled }) => isPooled)
    if (one !== undefined && other !== undefined) await refuseShared(settings.url, one, other)
    if (count < needed) {
      log.warn({ sessions: count, needed }, `the connection pooler at ${placeOf(settings.url)} gives this replica ${count} sessions at a time, and it may use ${needed}: ` +
        'calls will wait. Raise default_pool_size and max_client_conn of the pooler, or lower DATABASE_POOL_MAX and PLATFORM_TASKS_MAX_CONNECTIONS.')
    }
  } finally {
    for (const client of clients) {
      if (client.isPooled) void endClient(client, endWithinMs)
      else client.destroy()
    }
  }
}

const pidOf = async (client: Client): Promise<number | undefined> =>
  (await client.query<{ pid: number }>('SELECT pg_catalog.pg_backend_pid() AS pid')).rows[0]?.pid

/** While one client holds a session in a transaction, the session of the other must be another one, and stay the same. */
async function refuseShared (url: string, one: Client, other: Client): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    const before = await pidOf(one)
    await other.query('BEGIN').catch((cause: unknown) => { throw new SessionsAreShared(url, cause) })
    const held = await pidOf(other)
    const isShared = held === before || await pidOf(one) !== before
    await other.query('ROLLBACK')
    if (isShared) throw new SessionsAreShared(url)
  }
}
