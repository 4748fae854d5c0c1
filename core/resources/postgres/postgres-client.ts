// Creates single connections to PostgreSQL: for the pool, and for work that needs its own connection (migrations,
// session locks).

import type { Socket } from 'node:net'
import pg from 'pg'
import { withSessionOptions } from './postgres-session-options.ts'

export type Client = pg.Client

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

/** Creates a client that is not connected yet. */
export function createClient (settings: ClientSettings): Client {
  const { url, searchPath, applicationName, connectTimeoutMs, statementTimeoutMs, queryTimeoutMs, parsers } = settings
  return new pg.Client({
    connectionString: withSessionOptions(url, searchPath),
    application_name: applicationName,
    connectionTimeoutMillis: connectTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveDelayMs,
    ...statementTimeoutMs !== undefined && { statement_timeout: statementTimeoutMs, idle_in_transaction_session_timeout: statementTimeoutMs },
    ...queryTimeoutMs !== undefined && { query_timeout: queryTimeoutMs },
    ...parsers !== undefined && { types: { getTypeParser: (oid: number) => parsers.get(oid) ?? readerOf(oid) } }
  })
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
  const client = createClient(settings)
  client.on('error', () => { /* Without a listener, an idle connection's loss would end the process. The next query rejects with the reason. */ })
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
