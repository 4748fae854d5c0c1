// Opens the connections that migrations run on. The lock belongs to a connection, and each file runs in one transaction
// with its journal row.

import type { EventEmitter } from 'node:events'
import { hostname } from 'node:os'
import { withDeadline } from '../../concurrency/deadline.ts'
import type { Clock, Log } from '../../contract/index.ts'
import { connectClient, type Client } from '../postgres/postgres-client.ts'
import { splitStatements } from './migration-file.ts'

export interface SessionParts {
  readonly url: string
  readonly log: Log
  readonly clock: Clock
  /** How long to wait for another host that is migrating; 60 s by default. */
  readonly lockTimeoutMs?: number | undefined
}

/** A query of the host's own that takes longer than this counts as unanswered. */
const answerWithinMs = 10_000
/**
 * While a statement waits for a table, every later query on that table waits too, so the statement does not wait for
 * long.
 */
const tableLockTimeoutMs = 10_000
const closeWithinMs = 2_000

/** Thrown when another session was migrating for longer than this one would wait. */
export class MigrationsLocked extends Error {
  readonly code = 'BULKHEAD_MIGRATIONS_LOCKED'
  override readonly name = 'MigrationsLocked'
}

/** Thrown when a file failed and was rolled back as a whole. The files before it stay applied. */
export class MigrationFailed extends Error {
  readonly code = 'BULKHEAD_MIGRATION_FAILED'
  override readonly name = 'MigrationFailed'
}

/**
 * Opens the connection for `work` and closes it afterwards. Closing also cleans up: when the session ends, for whatever
 * reason, Postgres rolls back and releases the lock. Postgres detects within a second that its client is gone, and
 * within half a minute that the network is down.
 */
export async function withSession<T> (
  { url, log }: SessionParts, signal: AbortSignal | undefined, work: (client: Client) => Promise<T>
): Promise<T> {
  signal?.throwIfAborted()
  const applicationName = `bulkhead migrations, process ${process.pid} on ${hostname()}`
  const client = await connectClient({ url, applicationName, connectTimeoutMs: answerWithinMs })
  let closing: Promise<void> | undefined
  // `client.end()` closes the socket at once when a query is running.
  const close = (): Promise<void> => (closing ??= withDeadline(closeWithinMs, () => client.end()).catch((err: unknown) =>
    log.warn({ err }, 'the connection of the migrations did not close; Postgres ends it within half a minute')))
  const abort = (): void => { void close() }
  signal?.addEventListener('abort', abort)
  try {
    signal?.throwIfAborted()
    await ask(client, settings)
    return await work(client)
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  } finally {
    signal?.removeEventListener('abort', abort)
    await close()
  }
}

/** Runs a query of the host's own. It rejects when there is no answer in time; the query ends with the session. */
export async function ask<Row extends object> (
  client: Client, text: string, values: readonly unknown[] = [], withinMs = answerWithinMs
): Promise<Row[]> {
  return (await withDeadline(withinMs, () => client.query<Row>(text, [...values]))).rows
}

// A migration may take as long as it needs, whatever timeouts the role has.
const settings = `
  set statement_timeout = 0;
  set idle_in_transaction_session_timeout = 0;
  set client_connection_check_interval = '1s';
  set tcp_keepalives_idle = 10;
  set tcp_keepalives_interval = 5;
  set tcp_keepalives_count = 3`

/** The two halves of the advisory lock's key: "BULK", "MIGR". */
const lockKey = [0x42554c4b, 0x4d494752] as const

/** Waits until no other session migrates this database. The lock lasts as long as the session. */
export async function lock (client: Client, { log, lockTimeoutMs = 60_000 }: SessionParts): Promise<void> {
  const [first] = await ask<{ locked: boolean }>(client, 'select pg_try_advisory_lock($1, $2) as locked', lockKey)
  if (first?.locked === true) return
  log.info({ lockTimeoutMs }, `waiting for another host that is migrating: ${await findHolder(client)}`)
  await ask(client, `set lock_timeout = ${lockTimeoutMs}`)
  try {
    await ask(client, 'select pg_advisory_lock($1, $2)', lockKey, lockTimeoutMs + answerWithinMs)
  } catch (error) {
    if (!isLockTimeout(error)) throw error
    throw new MigrationsLocked(
      `Migrations are being run by ${await findHolder(client)}, and ${lockTimeoutMs} ms were not enough for it to finish. ` +
      'Wait for it and start again, or end it with `select pg_terminate_backend(pid)`.', { cause: error })
  }
}

const isLockTimeout = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === '55P03'

async function findHolder (client: Client): Promise<string> {
  const [holder] = await ask<{ name: string, pid: number, address: string | null, since: Date | null }>(client, `
    select a.application_name as name, a.pid, a.client_addr as address, a.backend_start as since
    from pg_locks l join pg_stat_activity a using (pid)
    where l.locktype = 'advisory' and l.granted and l.classid = $1 and l.objid = $2 and l.objsubid = 2
      and l.database = (select oid from pg_database where datname = current_database())`, lockKey)
  if (holder === undefined) return 'a session that has just ended'
  const { name, pid, address, since } = holder
  return `"${name}" (pid ${pid}${address === null ? '' : `, from ${address}`}${since === null ? '' : `, since ${since.toISOString()}`})`
}

export interface Step {
  readonly path: string
  readonly text: string
  readonly schema: string
  /** The statement that updates the journal, in the same transaction. */
  readonly journal: { readonly text: string, readonly values: readonly (string | undefined)[] }
  /**
   * Called in the transaction before the file runs. The result is called after the file, and throws when the file must
   * be rolled back.
   */
  readonly watch?: ((client: Client) => Promise<() => Promise<void>>) | undefined
}

/** Runs one file and updates the journal, in one transaction: both happen, or neither. */
export async function runStep (client: Client, { path, text, schema, journal, watch }: Step): Promise<void> {
  const searchPath = [...new Set([schema, 'public'])].map(name => client.escapeIdentifier(name)).join(', ')
  const begin = [
    'begin',
    ...schema === 'public' ? [] : [`create schema if not exists ${client.escapeIdentifier(schema)}`],
    `set local search_path = ${searchPath}`,
    `set local lock_timeout = ${tableLockTimeoutMs}`
  ]
  await ask(client, begin.join('; ')).catch((cause: unknown) => {
    throw new MigrationFailed(`${path} did not run: its schema ${schema} could not be made ready: ${(cause as Error).message}`, { cause })
  })
  const check = await watch?.(client)
  let completed = 0
  const count = (): void => { completed += 1 }
  const protocol = protocolOf(client)
  protocol.on('commandComplete', count)
  try {
    await client.query(text)
  } catch (error) {
    throw new MigrationFailed(describeFailure(error, path, text, completed), { cause: error })
  } finally {
    protocol.off('commandComplete', count)
  }
  await check?.().catch((error: unknown) => {
    throw error instanceof MigrationFailed ? error : new MigrationFailed(describeFailure(error, path, text, undefined), { cause: error })
  })
  await ask(client, journal.text, journal.values)
  // A commit checks deferred constraints, so it may fail, and it may take long.
  await client.query('commit').catch((error: unknown) => {
    throw new MigrationFailed(describeFailure(error, path, text, undefined), { cause: error })
  })
  // The session is reset, so that the next file begins as this one did, whatever this one has set or created in its
  // session.
  if (watch !== undefined) await ask(client, `deallocate all; unlisten *; discard temp; reset all; ${settings}`)
}

/** An error while rows are changed has no position. The number of completed statements shows which statement failed. */
const protocolOf = (client: Client): EventEmitter => (client as unknown as { connection: EventEmitter }).connection

function describeFailure (error: unknown, path: string, text: string, completed: number | undefined): string {
  const { message, code, position, detail, hint, where } = error as Error & Partial<Record<'code' | 'position' | 'detail' | 'hint' | 'where', string>>
  const place = position === undefined ? placeOfStatement(text, completed) : placeOfPosition(text, Number(position))
  return [
    `${path}${place?.at ?? ''} did not run: ${message}${code === undefined ? '' : ` (${code})`}`,
    ...place === undefined ? [] : [place.excerpt],
    ...detail === undefined ? [] : [detail],
    ...where === undefined ? [] : [where],
    ...hint === undefined ? [] : [`Hint: ${hint}`],
    code === '55P03'
      ? 'Another session holds the table. Nothing of this file was kept; start again when that session is done.'
      : 'Nothing of this file was kept; the files before it are applied. Fix it and start again.'
  ].join('\n')
}

interface Place { at: string, excerpt: string }

/** Postgres counts characters from 1, and counts a character outside the basic plane as one character. */
function placeOfPosition (text: string, position: number): Place {
  const before = Array.from(text).slice(0, position - 1).join('').split('\n')
  const line = before.length
  const column = (before.at(-1) ?? '').length + 1
  const gutter = `  ${line} | `
  return { at: `:${line}:${column}`, excerpt: `${gutter}${text.split('\n')[line - 1] ?? ''}\n${' '.repeat(gutter.length + column - 1)}^` }
}

function placeOfStatement (text: string, completed: number | undefined): Place | undefined {
  const statement = completed === undefined ? undefined : splitStatements(text)[completed]
  return statement && { at: `:${statement.line}`, excerpt: `  ${statement.line} | ${text.split('\n')[statement.line - 1] ?? ''}` }
}
