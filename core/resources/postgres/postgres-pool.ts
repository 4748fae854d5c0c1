// Opens slonik's pool on a driver of our own: prepared statements, a deadline on client and server, and connections
// that survive harmless errors.

import { BackendTerminatedError, ConnectionError, createDriverFactory, createPool, NotFoundError, UnexpectedStateError } from 'slonik'
import type { CommonQueryMethods, DatabasePool, DriverCommand, DriverFactory, DriverQueryResult, Interceptor } from 'slonik'
import type { Clock } from '../../contract/index.ts'
import { Client, endClient, isOutOfPlaces, readOnlyCode } from './postgres-client.ts'
import type { ClientSettings } from './postgres-client.ts'
import type { OpenConnections } from './postgres-connections.ts'
import type { Session, SessionLimit } from './postgres-session-limit.ts'
import { createStatementNames, isStale } from './postgres-statement.ts'
import type { StatementNames } from './postgres-statement.ts'

export { BackendTerminatedError, ConnectionError, NotFoundError }
export type { CommonQueryMethods }

const idleTimeoutMs = 60_000
const endWithinMs = 1_000
// Query that slonik sends when a connection is released. The driver answers it from what it knows, without the server.
const giveBack = '-- give back'

export interface PoolSettings extends ClientSettings {
  readonly poolMax: number
  /** Owner of every session in the pool; undefined for the host. */
  readonly owner: string | undefined
  /** How long a call waits for an open session when the server has no place for a further one. */
  readonly acquireTimeoutMs: number
}

export interface SessionPool {
  /** Runs `work` on a connection that nobody else uses meanwhile. */
  run<T> (work: (connection: CommonQueryMethods) => Promise<T>): Promise<T>
  end (): Promise<void>
}

interface PoolParts {
  readonly clock: Clock
  /** Holds every connection while it is open. */
  readonly connections: OpenConnections
  /** The session limit that the pools of all owners share. */
  readonly sessions: SessionLimit
}

/** Opens the pool, which connects with its first query. */
export async function openPool (settings: PoolSettings, parts: PoolParts): Promise<SessionPool> {
  const pool = await createPool('', {
    driverFactory: createDriver(settings, parts),
    interceptors: [{ name: 'rows', transformRow: checkRow }],
    maxPoolSize: settings.poolMax,
    connectionRetryLimit: 0,
    idleTimeout: idleTimeoutMs,
    gracefulTerminationTimeout: 2 * endWithinMs,
    // A released session needs no reset: only the same owner finds again what a statement left in it. The driver
    // refuses the release of a connection in a state that would surprise even its owner.
    resetConnection: ({ query }) => query(giveBack),
    // postgres-handle.ts refuses a call to the pool inside a transaction, before it takes a connection.
    dangerouslyAllowForeignConnections: true
  })
  return { run: work => withConnection(pool, work, settings, parts), end: () => pool.end() }
}

/**
 * Slonik alone would end a connection for every error that passes through it, even a missing row or a duplicate key.
 * Here errors pass through as values, and the driver decides, when the connection is released, whether it is still
 * usable. So an error that is thrown here comes from the attempt to connect; when the server has no place for a further
 * connection, the call waits for an open one.
 */
async function withConnection<T> (
  pool: DatabasePool, work: (connection: CommonQueryMethods) => Promise<T>,
  { acquireTimeoutMs }: PoolSettings, { clock, sessions }: PoolParts
): Promise<T> {
  let giveUpAt: number | undefined
  let outcome: { value: T } | { error: unknown } | undefined
  while (outcome === undefined) {
    try {
      outcome = await pool.connect<{ value: T } | { error: unknown }>(async connection => {
        try { return { value: await work(connection) } } catch (error) { return { error } }
      })
    } catch (error) {
      giveUpAt ??= clock.now() + acquireTimeoutMs
      if (!isOutOfPlaces(error) || clock.now() >= giveUpAt) throw error
      sessions.refuse(clock.now())
      do await sessions.whenFreed(clock)
      while (sessions.isRefused(clock.now()) && pool.state().idleConnections === 0)
    }
  }
  if ('error' in outcome) throw outcome.error
  return outcome.value
}

function createDriver (settings: PoolSettings, { connections, sessions }: PoolParts): DriverFactory {
  const names = createStatementNames()
  return createDriverFactory(async () => ({
    createPoolClient: async ({ clientEventEmitter }) => {
      const client = new Client(settings)
      let isRetired = false
      let isIdle = false
      const query = createQuery(client, names, () => isRetired)
      let hasConnected = false
      client.on('error', error => { if (hasConnected) clientEventEmitter.emit('error', new BackendTerminatedError(error)) })
      client.on('notice', ({ message }) => { if (message !== undefined) clientEventEmitter.emit('notice', { message }) })
      // This event is slonik's way to have a connection closed from outside, while it is idle.
      const giveUp = (why: string): void => { clientEventEmitter.emit('error', new BackendTerminatedError(new Error(why))) }
      const session: Session = { owner: settings.owner, giveUp: () => giveUp('Another owner needs the place.') }
      clientEventEmitter.on('acquire', () => {
        isIdle = false
        sessions.setBusy(session)
      }).on('release', () => {
        isIdle = true
        sessions.setIdle(session)
      })
      const retire = (): void => {
        isRetired = true
        if (isIdle) giveUp('The server takes no writes any more.')
      }
      return {
        connect: async () => {
          await sessions.begin()
          client.once('end', () => sessions.end(session, hasConnected))
          connections.add(client, retire)
          // A client that cannot connect emits `end`, which releases the place in the session limit.
          await client.connect()
          hasConnected = true
        },
        end: () => endClient(client, endWithinMs),
        query,
        stream: () => { throw new UnexpectedStateError('Streams are not part of the contract.') }
      }
    }
  }))
}

function createQuery (
  client: Client, names: StatementNames, isRetired: () => boolean
): (text: string, values?: unknown[]) => Promise<DriverQueryResult> {
  let isLost = false
  let isTainted = false
  client.once('error', () => { isLost = true }).once('end', () => { isLost = true })

  return async (text, values = []) => {
    if (text === giveBack) {
      client.asksReadOnly = false
      if (isLost || isTainted || isRetired() || client.getTransactionStatus() !== 'I') throw new UnexpectedStateError('The session is lost, changed, or in a transaction.')
      return { command: 'SELECT', fields: [], rowCount: 0, rows: [] }
    }
    const name = names.find(text)
    // All queries use the extended protocol: given several statements, the simple protocol runs them all before any
    // error can be raised.
    const query = { text, values, queryMode: 'extended', ...name !== undefined && { name } }
    try {
      const { command, rowCount, rows, fields } = await client.query<Record<string, unknown>>(query)
      if (changesSession(command, text)) isTainted = true
      if (asksReadOnly(command, text)) client.asksReadOnly = true
      return { command: command as DriverCommand, rowCount, rows, fields: fields.map(field => ({ dataTypeId: field.dataTypeID, name: field.name })) }
    } catch (error) {
      if (name !== undefined && isStale(error)) {
        names.forget(text)
        throw new PlanIsStale(error)
      }
      if (isRefusedWrite(error) && client.asksReadOnly) throw new WriteInReadOnly(error)
      if (isLost || endsSession(error)) {
        isLost = true
        // `client.end()` closes the socket at once while the server still owes an answer.
        void client.end()
        throw new BackendTerminatedError(error as Error)
      }
      throw error
    }
  }
}

/**
 * With this code, slonik takes the error for a transaction that lost against another, and runs the transaction or the
 * single query again.
 */
class PlanIsStale extends Error {
  readonly code = '40001'

  constructor (cause: unknown) {
    super('A prepared statement was older than the schema.', { cause })
  }
}

/** Thrown for a write in a transaction that was begun read-only: a mistake in the code, of which the server is innocent. */
class WriteInReadOnly extends Error {
  override readonly name = 'WriteInReadOnly'

  constructor (cause: unknown) {
    super('A transaction that asked to be read-only tried to write.', { cause })
  }
}

const isRefusedWrite = (error: unknown): boolean => Error.isError(error) && 'code' in error && error.code === readOnlyCode

const asksReadOnly = (command: string, text: string): boolean =>
  (/^(?:SET|BEGIN|START TRANSACTION)$/.test(command) && /\bread\s+only\b|transaction_read_only/i.test(text)) ||
  (text.includes('set_config') && text.includes('transaction_read_only'))

// 08 is a connection error; 57P a shutdown or a terminated session; 25006 a server that was demoted, which a new
// connection leaves behind; 25P03 and 25P04 idle or too long in a transaction.
const endsSession = (error: unknown): boolean => Error.isError(error) &&
  (error.message === 'Query read timeout' || ('code' in error && /^(08...|57P..|25006|25P0[34])$/.test(String(error.code))))

const changesSession = (command: string, text: string): boolean =>
  command === 'LISTEN' || (command === 'SET' && !/^\s*SET\s+(LOCAL|TRANSACTION)\b/i.test(text))

/**
 * Thrown for a row that does not match the type of its query: a mistake in the code, or a schema of another version.
 */
export class RowDoesNotFit extends Error {
  readonly code = 'BULKHEAD_ROW_DOES_NOT_FIT'
  override readonly name = 'RowDoesNotFit'
  readonly sql: string

  constructor (sql: string, issues: readonly string[]) {
    super(`A row does not fit the type of its query: ${issues.join('; ')}. The query: ${sql.trim().replaceAll(/\s+/g, ' ')}`)
    this.sql = sql
  }
}

const checkRow: NonNullable<Interceptor['transformRow']> = ({ resultParser }, { sql }, row) => {
  if (resultParser === undefined) return row
  const result = resultParser['~standard'].validate(row)
  if (result instanceof Promise) throw new TypeError('The type of a row must not be asynchronous.')
  if (result.issues === undefined) return result.value as typeof row
  throw new RowDoesNotFit(sql, result.issues.map(({ path = [], message }) =>
    `${path.map(part => String(typeof part === 'object' ? part.key : part)).join('.')}: ${message}`))
}
