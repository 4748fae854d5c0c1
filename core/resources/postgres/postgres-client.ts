// Single connections to PostgreSQL: what the pool is made of, and what needs one of its own (migrations, session locks).

import type { Socket } from 'node:net'
import pg from 'pg'
import { withSessionOptions } from './postgres-session-options.ts'

export type Client = pg.Client

export interface ClientSettings {
  url: string
  /** What `pg_stat_activity` shows. */
  applicationName: string
  connectTimeoutMs: number
  /** That of the host by default. */
  searchPath?: string
  /** The server ends a statement that takes longer. */
  statementTimeoutMs?: number
  /** The client gives up on a server that has not answered for so long. */
  queryTimeoutMs?: number
  /** How a value of a type (by oid) is read from its text; pg's own way unless said. */
  parsers?: ReadonlyMap<number, (text: string) => unknown>
}

/** pg's own way of reading a type. */
const readerOf = pg.types.getTypeParser as (oid: number) => (text: string) => unknown
const keepAliveDelayMs = 10_000

/** Not connected yet. */
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

/** The elements of an array as Postgres writes it, nested ones too. */
export function readArray (text: string, parse: (text: string) => unknown): unknown[] {
  const read = (value: unknown): unknown => Array.isArray(value) ? value.map(read) : typeof value === 'string' ? parse(value) : value
  return (readerOf(textArrayOid)(text) as unknown[]).map(read)
}

/** A connection of the caller's own, to be ended by it. When it is lost, the query that runs or the next one rejects. */
export async function connectClient (settings: ClientSettings): Promise<Client> {
  const client = createClient(settings)
  client.on('error', () => { /* Without a listener the loss of an idle connection would end the process; its next query rejects with the reason. */ })
  await client.connect()
  return client
}

/** The socket, or with TLS what is around it. */
export function streamOf (client: Client): Socket {
  return (client as unknown as { connection: { stream: Socket } }).connection.stream
}

/** Says goodbye, and does not wait longer than `withinMs` for the server to say it too. */
export async function endClient (client: Client, withinMs: number): Promise<void> {
  const timer = setTimeout(() => streamOf(client).destroy(), withinMs)
  await client.end()
  clearTimeout(timer)
}
