// Creates single connections to PostgreSQL: for the pool, and for work that needs its own connection (migrations,
// session locks, notifications).

import type { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import pg from 'pg'
import { choiceOf, placeOf, readServers, type Server } from './postgres-server-choice.ts'
import { hostSearchPath, listSessionOptions, writeSessionOptions } from './postgres-session-options.ts'

export interface ClientSettings {
  url: string
  /** Name that `pg_stat_activity` shows for the connection. */
  applicationName: string
  connectTimeoutMs: number
  /** Search path of the session; the host's search path by default. */
  searchPath?: string
  /** Time after which the server ends a statement, or a session that is idle in a transaction. */
  statementTimeoutMs?: number
  /** Time after which the client gives up on a server that has not answered. */
  queryTimeoutMs?: number
  /** Parsers by the OID of the type; each reads a value from its text. All other types use pg's own parsers. */
  parsers?: ReadonlyMap<number, (text: string) => unknown>
}

/** Returns pg's own parser of a type. */
const readerOf = pg.types.getTypeParser as (oid: number) => (text: string) => unknown
const keepAliveDelayMs = 10_000
const probeEndWithinMs = 1_000

interface Introduction { pid: number, isStandby: boolean, searchPath: string }

/** A connection that is made only to a server that takes writes, and whose session has the host's options in any case. */
export class Client extends pg.Client {
  readonly #settings: ClientSettings
  readonly #only: Server | undefined
  #isOpening = false
  #isGivenUp = false
  /** True when a connection pooler stands between this client and the server. */
  isPooled = false
  /** True while a transaction asked to be read-only: its refused writes say nothing about the server. */
  asksReadOnly = false
  /** Called when the server refuses a write because it takes none any more. */
  onReadOnly: () => void = () => undefined

  /** `only` limits a URL with several servers to one of them. */
  constructor (settings: ClientSettings, only?: Server) {
    super(configOf(settings))
    this.#settings = settings
    this.#only = only
    // Without a listener, the loss of an idle connection would end the process. The next query rejects with the reason.
    this.on('error', () => undefined)
  }

  // pg's own pool calls it with a callback.
  override connect (): Promise<pg.Client>
  override connect (callback: (error: Error) => void): void
  override connect (callback?: (error: Error) => void): Promise<pg.Client> | void {
    const connecting = this.#connect().catch((error: unknown) => {
      this.destroy()
      throw error
    })
    if (callback === undefined) return connecting.then(() => this)
    connecting.then(() => (callback as () => void)(), callback)
  }

  /** Gives up on the connection without a goodbye, also while it is still being made. */
  destroy (reason?: Error): void {
    // pg emits `end` only for a connection that it began to open.
    if (!this.#isOpening && !this.#isGivenUp) process.nextTick(() => this.emit('end'))
    this.#isGivenUp = true
    streamOf(this).destroy(reason)
  }

  async #connect (): Promise<void> {
    const servers = this.#only === undefined ? readServers(new URL(this.#settings.url)) : undefined
    if (servers === undefined) {
      if (this.#only !== undefined) Object.assign(this, this.#only)
      return this.#open()
    }
    const choice = choiceOf(servers)
    const server = await choice.find(async each => {
      const client = new Client(this.#settings, each)
      await client.connect()
      void endClient(client, probeEndWithinMs)
    })
    if (this.#isGivenUp) throw new Error('Connection terminated')
    Object.assign(this, server)
    try {
      await this.#open()
    } catch (error) {
      choice.forget(server)
      throw error
    }
  }

  async #open (): Promise<void> {
    const { url, connectTimeoutMs } = this.#settings
    this.#isOpening = true
    try {
      await super.connect()
    } catch (error) {
      throw isRefusedByPooler(error) ? new PoolerRefuses(url, error) : error
    }
    const text = `SELECT pg_catalog.pg_backend_pid() AS pid, pg_catalog.pg_is_in_recovery() AS "isStandby", pg_catalog.current_setting('search_path') AS "searchPath"`
    const query: pg.QueryConfig & { query_timeout: number } = { text, query_timeout: connectTimeoutMs }
    const { rows: [found] } = await super.query<Introduction>(query)
    if (found === undefined || found.isStandby) throw new ServerTakesNoWrites(this.host, this.port)
    // A pooler answers with a process ID of its own, and may keep the session options to itself.
    this.isPooled = found.pid !== (this as unknown as { processID: number }).processID
    if (this.isPooled || found.searchPath !== (this.#settings.searchPath ?? hostSearchPath)) {
      const values = optionsOf(this.#settings).map(([name, value]) => `pg_catalog.set_config(${this.escapeLiteral(name)}, ${this.escapeLiteral(value)}, false)`)
      await super.query({ ...query, text: `SELECT ${values.join(', ')}` })
    }
    const { connection } = this as unknown as { connection: EventEmitter }
    connection.on('errorMessage', ({ code }: { code?: string }) => { if (code === readOnlyCode && !this.asksReadOnly) this.onReadOnly() })
  }
}

/** SQLSTATE of a write on a server, or in a transaction, that takes none. */
export const readOnlyCode = '25006'

/** Thrown for a server that is a standby, because it was demoted or never took writes. */
export class ServerTakesNoWrites extends Error {
  readonly code = readOnlyCode
  override readonly name = 'ServerTakesNoWrites'

  constructor (host: string, port: number) {
    super(`${host}:${port} is a standby: it takes no writes. Wait for the failover to end, or point DATABASE_URL to the server that takes writes.`)
  }
}

/** Thrown when a pooler does not know the parameters with which a session starts. */
export class PoolerRefuses extends Error {
  readonly code = 'BULKHEAD_POOLER_REFUSES'
  override readonly name = 'PoolerRefuses'

  constructor (url: string, cause: Error) {
    super(`The connection pooler at ${placeOf(url)} refuses the session options (${cause.message}). In PgBouncer set pool_mode = session and ` +
      'ignore_startup_parameters = options, or connect to PostgreSQL directly.')
  }
}

/** SQLSTATE of a connection that the server, a role or a database has no place for. */
const outOfPlacesCode = '53300'

/** True when the error, or one of its causes, has the SQLSTATE. */
function hasCode (error: unknown, code: string): boolean {
  return Error.isError(error) && (('code' in error && error.code === code) || hasCode(error.cause, code))
}

export const isReadOnly = (error: unknown): boolean => hasCode(error, readOnlyCode)
export const isOutOfPlaces = (error: unknown): boolean => hasCode(error, outOfPlacesCode)

const isRefusedByPooler = (error: unknown): error is Error => Error.isError(error) && error.message.includes('unsupported startup parameter')

function optionsOf ({ url, searchPath, statementTimeoutMs }: ClientSettings) {
  return listSessionOptions(new URL(url).searchParams.get('options') ?? '', { searchPath, statementTimeoutMs })
}

function configOf (settings: ClientSettings): pg.ClientConfig {
  const { url, applicationName, connectTimeoutMs, queryTimeoutMs, parsers } = settings
  const changed = new URL(url)
  const { searchParams } = changed
  searchParams.set('options', writeSessionOptions(optionsOf(settings)))
  // pg would take the list for the name of one host. A client chooses among the servers when it connects.
  if (readServers(changed) !== undefined) for (const name of ['host', 'port']) searchParams.delete(name)
  searchParams.delete('target_session_attrs')
  return {
    connectionString: changed.href,
    application_name: applicationName,
    connectionTimeoutMillis: connectTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveDelayMs,
    ...queryTimeoutMs !== undefined && { query_timeout: queryTimeoutMs },
    ...parsers !== undefined && { types: { getTypeParser: (oid: number) => parsers.get(oid) ?? readerOf(oid) } }
  }
}

const textArrayOid = 1009

/** Parses the elements of an array in Postgres's text form, including nested arrays. */
export function readArray (text: string, parse: (text: string) => unknown): unknown[] {
  const read = (value: unknown): unknown => Array.isArray(value) ? value.map(read) : typeof value === 'string' ? parse(value) : value
  return (readerOf(textArrayOid)(text) as unknown[]).map(read)
}

/**
 * Opens a connection that belongs to the caller, who must end it. When it is lost, the running query or the next one
 * rejects.
 */
export async function connectClient (settings: ClientSettings): Promise<Client> {
  const client = new Client(settings)
  await client.connect()
  return client
}

/** Returns the socket, or with TLS the socket around it. */
export function streamOf (client: Client): Socket {
  return (client as unknown as { connection: { stream: Socket } }).connection.stream
}

/** Ends the session in order, and waits at most `withinMs` for the server to confirm. */
export async function endClient (client: Client, withinMs: number): Promise<void> {
  const timer = setTimeout(() => streamOf(client).destroy(), withinMs)
  await client.end()
  clearTimeout(timer)
}
