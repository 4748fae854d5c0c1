// Opens the database: a pool behind a gate, its errors in the words of the catalogue.

import { AsyncLocalStorage } from 'node:async_hooks'
import type { OpenParts, Postgres, Resource } from '../contract/index.ts'
import { sql, z } from '../contract/index.ts'
import { withDeadline } from './deadline.ts'
import { createGate } from './gate.ts'
import type { Gate } from './gate.ts'
import { OpenConnections, Question } from './postgres-connections.ts'
import { away, toAnswerable } from './postgres-error.ts'
import { openPool, withConnection } from './postgres-pool.ts'
import type { CommonQueryMethods, DatabasePool } from './postgres-pool.ts'
import { createQueries, runTransaction } from './postgres-transaction.ts'
import { typeParsers } from './postgres-type.ts'
import { Pulse } from './pulse.ts'

export interface PostgresSettings {
  url: string
  poolMax: number
  connectTimeoutMs: number
  acquireTimeoutMs: number
  acquireQueueMax: number
  statementTimeoutMs: number
}

const oldestMajor = 15
// The server is asked to give up first, so that the connection survives.
const answerGraceMs = 1_000
const ServerVersion = z.object({ number: z.int(), text: z.string() })

export async function openPostgres (settings: PostgresSettings, { clock, log, signal }: OpenParts): Promise<Resource<Postgres> & { url: string }> {
  const { url, poolMax, connectTimeoutMs, statementTimeoutMs, acquireQueueMax, acquireTimeoutMs } = settings
  const connections = new OpenConnections()
  const client = { url: withSessionOptions(url), applicationName: 'bulkhead', connectTimeoutMs }
  const pool = await openPool({
    ...client,
    statementTimeoutMs,
    queryTimeoutMs: statementTimeoutMs + answerGraceMs,
    parsers: typeParsers,
    poolMax
  }, connections)
  try {
    const version = await withDeadline(connectTimeoutMs, () => withConnection(pool, connection => connection.one(
      sql.type(ServerVersion)`SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS text`)), signal)
    refuseOldServer(version)
    log.info({ version: version.text }, `connected to PostgreSQL at ${placeOf(url)}`)
  } catch (cause) {
    await pool.end()
    signal.throwIfAborted()
    if (cause instanceof PostgresTooOld) throw cause
    throw new Error(`PostgreSQL at ${placeOf(url)} cannot be used: ${wordsOf(cause)}. ${isOfCertificate(cause) ? trustHint : 'Check DATABASE_URL, and that the server runs.'}`, { cause })
  }

  const gate = createGate({ name: 'the database', limit: poolMax, queueMax: acquireQueueMax, waitMs: acquireTimeoutMs }, clock)
  const question = new Question(client, connections)
  const pulse = new Pulse({
    name: 'the database',
    clock,
    log,
    ask: signal => question.ask(signal).catch((cause: unknown) => {
      throw new Error(`PostgreSQL at ${placeOf(url)} does not answer: ${wordsOf(cause)}`, { cause })
    }),
    hasHeard: () => connections.hasHeard(),
    onSilence: () => {
      gate.shut(() => away(pulse.signal.reason as Error))
      // Callers reject by the ordinary way, places in the pool are free for the return, and no transaction goes on as if nothing had been.
      connections.destroy()
    },
    onReturn: () => gate.open()
  })
  return {
    value: createPostgres(pool, gate, pulse),
    url,
    check: signal => pulse.check(signal),
    close: async () => {
      gate.close()
      pulse.close()
      await Promise.all([pool.end(), question.close()])
    }
  }
}

function createPostgres (pool: DatabasePool, gate: Gate, pulse: Pulse): Postgres {
  const inside = new AsyncLocalStorage<{ hasEnded: boolean }>()

  // A second connection for a transaction that holds one is how a busy pool comes to a standstill, and it would not see what the first wrote.
  async function run<T> (work: (connection: CommonQueryMethods) => Promise<T>): Promise<T> {
    if (inside.getStore()?.hasEnded === false) throw new Error('Inside transaction() use the tx it gives, not postgres.')
    pulse.begin()
    try {
      return await gate.run(() => withConnection(pool, work))
    } catch (error) {
      throw toAnswerable(error)
    } finally {
      pulse.end()
    }
  }
  return {
    ...createQueries(run),
    transaction: work => run(async connection => {
      const transaction = { hasEnded: false }
      try {
        return await inside.run(transaction, () => runTransaction(connection, work))
      } finally {
        transaction.hasEnded = true
      }
    })
  }
}

export class PostgresTooOld extends Error {
  readonly code = 'BULKHEAD_POSTGRES_TOO_OLD'
  override readonly name = 'PostgresTooOld'
}

export function refuseOldServer ({ number, text }: z.infer<typeof ServerVersion>): void {
  if (number < oldestMajor * 10_000) throw new PostgresTooOld(`The database is PostgreSQL ${text}; Bulkhead needs ${oldestMajor} or newer.`)
}

// The type parsers count on it; what the server, the database or the role have set otherwise does not matter.
function withSessionOptions (url: string): string {
  const changed = new URL(url)
  const own = changed.searchParams.get('options') ?? ''
  changed.searchParams.set('options', `${own} -c DateStyle=ISO -c IntervalStyle=postgres -c TimeZone=UTC`.trim())
  return changed.href
}

function placeOf (url: string): string {
  const { host, pathname } = new URL(url)
  return `${host}${pathname}`
}

const trustHint = 'Its certificate is not trusted: add sslrootcert=<file with the authority\'s certificate> behind sslmode=verify-full in DATABASE_URL, and use the name that the certificate is for.'

function isOfCertificate (error: unknown): boolean {
  if (!Error.isError(error)) return false
  return ('code' in error && /CERT|VERIFY|UNABLE_TO_GET_ISSUER/.test(String(error.code))) || isOfCertificate(error.cause)
}

// The deepest cause is what happened; of a host with several addresses it is one error for each.
function wordsOf (error: unknown): string {
  if (!Error.isError(error)) return String(error)
  if (error.cause !== undefined) return wordsOf(error.cause)
  return error instanceof AggregateError ? error.errors.map(wordsOf).join('; ') : error.message
}
