// Opens the database: sessions of the host and of each plugin behind one gate, with errors from the error catalogue.

import { withDeadline } from '../../concurrency/deadline.ts'
import { sql, z } from '../../contract/index.ts'
import type { Postgres } from '../../contract/index.ts'
import type { OpenParts, Resource } from '../../handover/resource.ts'
import { Pulse } from '../pulse.ts'
import { createGate } from './connection-gate.ts'
import { isReadOnly } from './postgres-client.ts'
import type { ClientSettings } from './postgres-client.ts'
import { OpenConnections } from './postgres-connections.ts'
import { away } from './postgres-error.ts'
import { createHandles } from './postgres-handle.ts'
import { openPool } from './postgres-pool.ts'
import type { SessionPool } from './postgres-pool.ts'
import { examinePooler, SessionsAreShared } from './postgres-pooler.ts'
import { Question } from './postgres-question.ts'
import { placeOf } from './postgres-server-choice.ts'
import { SessionLimit } from './postgres-session-limit.ts'
import { hostSearchPath, pluginSearchPath } from './postgres-session-options.ts'
import { createTaskConnections, type TaskConnections } from './postgres-task-connections.ts'
import { typeParsers } from './postgres-type.ts'

export interface PostgresSettings {
  url: string
  /**
   * Maximum number of sessions of the host and of all plugins together; at least 2, because a plugin could otherwise
   * take the only one.
   */
  poolMax: number
  /** Number of these sessions that no plugin can have; 0 means a fifth. */
  hostConnections?: number
  /** Number of the other sessions that one plugin may have; 0 means half of them. */
  pluginConnections?: number
  connectTimeoutMs: number
  acquireTimeoutMs: number
  /** Maximum number of waiting calls, for the host and for each plugin separately. */
  acquireQueueMax: number
  statementTimeoutMs: number
  /** Connections that this replica opens beside the pool; none by default. */
  otherConnections?: number
}

export interface PostgresClient {
  readonly url: string
  /** Handle of the host, with sessions of its own. Its queries name every table with its schema. */
  readonly host: Postgres
  /**
   * Returns the handle of a plugin, with sessions that only this plugin uses, within its share. Every call for one
   * plugin returns the same handle.
   */
  scoped (plugin: string): Postgres
  /**
   * The roles whose names Postgres puts in the place of `"$user"`: the role of the sessions, and the role that signs
   * in.
   */
  readonly roles: ReadonlySet<string>
  /** Connections for the task queue, beside those of the pool. */
  readonly forTasks: TaskConnections
}

const poolMin = 2
const oldestMajor = 15
// The server's timeout ends first, so that the connection survives.
const answerGraceMs = 1_000
const ServerFacts = z.object({ number: z.int(), text: z.string(), role: z.string(), login: z.string(), places: z.int().nullable() })

/** Computes how the sessions are shared, from the settings or by default. */
export function sharesOf ({ poolMax, hostConnections = 0, pluginConnections = 0 }: Pick<PostgresSettings, 'poolMax' | 'hostConnections' | 'pluginConnections'>) {
  const limit = Math.max(poolMin, poolMax)
  const hostReserve = Math.min(limit - 1, hostConnections || Math.max(1, Math.floor(limit / 5)))
  const guestLimit = limit - hostReserve
  return { limit, hostReserve, shareMax: Math.min(guestLimit, pluginConnections || Math.ceil(guestLimit / 2)) }
}

/** `findUser` names the user on whose behalf the running code was called, where there is one. */
export async function openPostgres (
  settings: PostgresSettings, { clock, log, signal }: OpenParts, findUser: () => string | undefined = () => undefined
): Promise<Resource<PostgresClient>> {
  const { url, connectTimeoutMs, statementTimeoutMs, acquireQueueMax, acquireTimeoutMs, otherConnections = 0 } = settings
  const { limit, hostReserve, shareMax } = sharesOf(settings)
  const connections = new OpenConnections()
  const sessions = new SessionLimit({ max: limit, hostKeeps: hostReserve })
  const client: ClientSettings = { url, applicationName: 'bulkhead', connectTimeoutMs }
  const pools: SessionPool[] = []
  const open = async (owner: string | undefined): Promise<SessionPool> => {
    const pool = await openPool({
      ...client,
      owner,
      searchPath: owner === undefined ? hostSearchPath : pluginSearchPath,
      statementTimeoutMs,
      queryTimeoutMs: statementTimeoutMs + answerGraceMs,
      parsers: typeParsers,
      acquireTimeoutMs,
      poolMax: limit
    }, { clock, connections, sessions })
    pools.push(pool)
    return pool
  }
  const hostPool = await open(undefined)
  const question = new Question(client, connections)
  const roles = new Set<string>()
  try {
    const { client: first } = await question.run('SELECT', signal)
    if (first.isPooled) await examinePooler(client, limit + otherConnections, log)
    const { role, login, places, ...version } = await withDeadline(connectTimeoutMs, () => hostPool.run(connection => connection.one(sql.type(ServerFacts)`
      SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS text,
        current_user::text AS role, session_user::text AS login,
        (SELECT least(current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int, nullif(datconnlimit, -1), nullif(rolconnlimit, -1))
          FROM pg_catalog.pg_database, pg_catalog.pg_roles WHERE datname = current_database() AND rolname = session_user) AS places
    `)), signal)
    refuseOldServer(version)
    roles.add(role).add(login)
    if (places !== null && places < limit + otherConnections) {
      log.warn({ places, needed: limit + otherConnections }, `PostgreSQL at ${placeOf(url)} has ${places} places for this role and database, and one replica may use ` +
        `${limit + otherConnections}: calls will wait. Raise max_connections (or the CONNECTION LIMIT), or lower DATABASE_POOL_MAX and PLATFORM_TASKS_MAX_CONNECTIONS.`)
    }
    log.info({ version: version.text }, `connected to PostgreSQL at ${placeOf(url)}`)
  } catch (cause) {
    await Promise.all([hostPool.end(), question.close()])
    signal.throwIfAborted()
    if (cause instanceof PostgresTooOld || cause instanceof SessionsAreShared) throw cause
    throw new Error(`PostgreSQL at ${placeOf(url)} cannot be used: ${wordsOf(cause)}. ${isOfCertificate(cause) ? trustHint : 'Check DATABASE_URL, and that the server runs.'}`, { cause })
  }

  const gate = createGate({ name: 'the database', limit, hostReserve, shareMax, queueMax: acquireQueueMax, waitMs: acquireTimeoutMs }, clock)
  const pulse = new Pulse({
    name: 'the database',
    clock,
    log,
    ask: signal => question.ask(signal).catch((cause: unknown) => {
      throw new Error(`PostgreSQL at ${placeOf(url)} ${isReadOnly(cause) ? 'cannot be used' : 'does not answer'}: ${wordsOf(cause)}`, { cause })
    }),
    hasHeard: () => connections.hasHeard(),
    onSilence: () => {
      gate.shut(() => away(pulse.signal.reason as Error))
      // Calls reject in the ordinary way, places in the pool are free when the database returns, and no transaction
      // continues as if nothing had happened.
      connections.destroy()
    },
    onReturn: () => gate.open()
  })
  const createHandle = createHandles(pulse, findUser)
  const scoped = new Map<string, Postgres>()
  return {
    value: {
      url,
      host: createHandle({ entrance: gate, openPool: () => hostPool, isHost: true }),
      scoped: plugin => {
        const known = scoped.get(plugin)
        if (known !== undefined) return known
        let pool: SessionPool | undefined
        let opening: Promise<SessionPool> | undefined
        // The pool opens with the plugin's first query: most plugins are idle most of the time, and then hold no
        // connection.
        const openOwn = (): SessionPool | Promise<SessionPool> => pool ?? (opening ??= open(plugin).then(opened => (pool = opened)))
        const handle = createHandle({ entrance: gate.guest(plugin), openPool: openOwn, isHost: false })
        scoped.set(plugin, handle)
        return handle
      },
      roles,
      forTasks: createTaskConnections(url, { log, clock }, connections)
    },
    check: signal => pulse.check(signal),
    close: async () => {
      gate.close()
      pulse.close()
      await Promise.all([...pools.map(pool => pool.end()), question.close()])
    }
  }
}

export class PostgresTooOld extends Error {
  readonly code = 'BULKHEAD_POSTGRES_TOO_OLD'
  override readonly name = 'PostgresTooOld'
}

export function refuseOldServer ({ number, text }: { number: number, text: string }): void {
  if (number < oldestMajor * 10_000) throw new PostgresTooOld(`The database is PostgreSQL ${text}; Bulkhead needs ${oldestMajor} or newer.`)
}

const trustHint = 'Its certificate is not trusted: add sslrootcert=<file with the authority\'s certificate> behind sslmode=verify-full in DATABASE_URL, and use the name that the certificate is for.'

function isOfCertificate (error: unknown): boolean {
  if (!Error.isError(error)) return false
  return ('code' in error && /CERT|VERIFY|UNABLE_TO_GET_ISSUER/.test(String(error.code))) || isOfCertificate(error.cause)
}

// The deepest cause says what happened. A host name with several addresses gives one error for each address.
function wordsOf (error: unknown): string {
  if (!Error.isError(error)) return String(error)
  if (error.cause !== undefined) return wordsOf(error.cause)
  return error instanceof AggregateError ? error.errors.map(wordsOf).join('; ') : error.message
}
