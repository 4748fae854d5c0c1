// Migrates the schemas of the host and of every plugin to the newest version. When many hosts start, the first one that
// gets the lock does it, once.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Umzug } from 'umzug'
import type { Client } from '../postgres/postgres-client.ts'
import { loadDown, loadMigrations, type DownFile, type MigrationFile } from './migration-file.ts'
import { createJournal, describeMissing, findPending, readJournal, type Journal } from './migration-journal.ts'
import { watchOutside } from './migration-outside.ts'
import { lock, MigrationFailed, runStep, withSession, type SessionParts, type Step } from './migration-session.ts'

export { MigrationFailed, MigrationsLocked } from './migration-session.ts'

/**
 * The migrations of one owner: one of the host's, or a plugin by its id. They run with `schema` first on the search
 * path, then `public`.
 */
export interface MigrationSet {
  readonly owner: string
  /** A folder that does not exist holds no migrations. */
  readonly folder: string
  /**
   * Created with the owner's first migration when it is missing. Only the host may change anything outside its schema.
   */
  readonly schema: string
  /** Version of the owner; without it, no migration of a newer version is taken to break it. */
  readonly version?: string
}

/** The sets of the host, in their order: the core schema, then the tables beside it. `root` is the project's folder. */
export function hostSets (root: string): MigrationSet[] {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  return [
    { owner: 'core', schema: 'public', folder: join(root, 'migrations'), version },
    { owner: 'bulkhead', schema: 'bulkhead', folder: join(root, 'migrations/bulkhead'), version }
  ]
}

/** Plugins cannot have these ids. */
const isHost = ({ owner }: Pick<MigrationSet, 'owner'>): boolean => owner === 'core' || owner === 'bulkhead'

/**
 * Indexes outside the owner's schema, by owner. The first file of `notify` creates an index on the core's table of
 * notifications, and a file that has run is not edited.
 */
const indexesOf: Readonly<Record<string, readonly string[]>> = { notify: ['public.entry_listed'] }

export interface MigrationStatus {
  readonly owner: string
  readonly applied: readonly { readonly name: string, readonly appliedAt: Date }[]
  readonly pending: readonly string[]
  /** Those of the applied ones that a newer version has applied, each with the first version that can work with it. */
  readonly newer: readonly { readonly name: string, readonly breaks: string | null }[]
  /** The reasons why `up` would refuse, each with its fix. */
  readonly problems: readonly string[]
}

/**
 * Each method throws the signal's reason when the signal aborts. Work that was not committed by then is rolled back.
 */
export interface Migrations {
  status (signal?: AbortSignal): Promise<MigrationStatus>
  /** Runs the pending migrations in order and returns their names. */
  up (signal?: AbortSignal): Promise<string[]>
  /** Undoes the last `count` applied migrations, newest first, and returns their names. */
  down (count: number, signal?: AbortSignal): Promise<string[]>
}

/** Thrown before anything runs, because the files or the history do not allow it. */
export class MigrationsRefused extends Error {
  readonly code = 'BULKHEAD_MIGRATIONS_REFUSED'
  override readonly name = 'MigrationsRefused'
  readonly problems: readonly string[]

  constructor (problems: readonly string[]) {
    super(`The database was not migrated, and nothing was changed:\n${problems.map(problem => `- ${problem}`).join('\n')}`)
    this.problems = problems
  }
}

export function createMigrations ({ owner, folder, schema, version, ...parts }: MigrationSet & SessionParts): Migrations {
  const set: MigrationSet = { owner, folder, schema, ...version !== undefined && { version } }
  return {
    status: signal => withSession(parts, signal, async client => statusOf(set, await readJournal(client))),
    up: async signal => (await migrateAll({ ...parts, sets: [set], signal })).map(({ name }) => name),
    down: (count, signal) => migrateDown(set, count, parts, signal)
  }
}

function statusOf ({ owner, folder, version }: MigrationSet, journal: Journal): MigrationStatus {
  const { files, problems } = loadMigrations(folder)
  const applied = journal.get(owner) ?? []
  const history = findPending({ files, applied, version })
  return {
    owner,
    applied: applied.map(({ name, appliedAt }) => ({ name, appliedAt })),
    pending: history.pending.map(({ name }) => name),
    newer: history.newer.map(({ name, breaks }) => ({ name, breaks })),
    problems: [...problems, ...history.problems]
  }
}

export interface Migrated { readonly owner: string, readonly name: string }

export interface MigrateAllParts extends SessionParts {
  readonly sets: readonly MigrationSet[]
  readonly signal?: AbortSignal | undefined
}

/**
 * Migrates the owners in the given order under one lock, each plugin in a session of its own. Checks all owners before
 * any of their files runs.
 */
export async function migrateAll ({ sets, signal, ...parts }: MigrateAllParts): Promise<Migrated[]> {
  const loaded = sets.map(set => ({ ...set, ...loadMigrations(set.folder) }))
  const plan = (journal: Journal): (MigrationSet & { files: readonly MigrationFile[], applied: readonly string[] })[] => {
    const planned = loaded.map(({ problems, ...set }) => {
      const applied = journal.get(set.owner) ?? []
      const history = findPending({ files: set.files, applied, version: set.version })
      return { ...set, applied: applied.map(({ name }) => name), isDone: history.pending.length === 0, problems: [...problems, ...history.problems] }
    })
    const problems = planned.flatMap(({ problems }) => problems)
    if (problems.length > 0) throw new MigrationsRefused(problems)
    return planned.filter(({ isDone }) => !isDone)
  }

  return withSession(parts, signal, async client => {
    // Most starts find nothing to do and take no lock.
    if (plan(await readJournal(client)).length === 0) return []
    await lock(client, parts)
    await createJournal(client)
    const migrated: Migrated[] = []
    for (const { files, applied, ...set } of plan(await readJournal(client))) {
      const names = await withOwnSession(client, set, parts, signal, async own => {
        const umzug = await openUmzug(own, set, files, applied, parts)
        return (await umzug.up().catch(throwCause)).map(({ name }) => name)
      })
      migrated.push(...names.map(name => ({ owner: set.owner, name })))
    }
    return migrated
  })
}

/**
 * Runs the files of a plugin in a session of their own. What they leave in it (temporary tables, settings) does not
 * reach the files of the next owner, and they cannot release the lock, which `holder` has. When `holder` is lost, the
 * lock is lost too, and the files are stopped.
 */
async function withOwnSession<T> (
  holder: Client, set: MigrationSet, parts: SessionParts, signal: AbortSignal | undefined, work: (client: Client) => Promise<T>
): Promise<T> {
  if (isHost(set)) return work(holder)
  const lost = new AbortController()
  const lose = (): void => lost.abort(new MigrationFailed(`The session that holds the lock of the migrations was lost, so those of "${set.owner}" were stopped. Start again.`))
  holder.once('end', lose)
  try {
    return await withSession(parts, AbortSignal.any([lost.signal, ...signal === undefined ? [] : [signal]]), work)
  } finally {
    holder.off('end', lose)
  }
}

async function migrateDown (set: MigrationSet, count: number, parts: SessionParts, signal: AbortSignal | undefined): Promise<string[]> {
  if (!Number.isInteger(count) || count < 1) throw new RangeError(`How many migrations to undo is a whole number from 1, not ${count}.`)
  const { files } = loadMigrations(set.folder)
  return withSession(parts, signal, async client => {
    await lock(client, parts)
    const applied = (await readJournal(client)).get(set.owner) ?? []
    const downs = new Map<string, DownFile>()
    // An edited file or a file out of order does not block `down`, because going down is one way to fix it.
    const problems = applied.slice(-count).flatMap(row => {
      const file = files.find(({ name }) => name === row.name)
      if (file === undefined) return [describeMissing(row, files)]
      if (file.downPath === undefined) return [`${file.path} cannot be undone: there is no ${file.name}.down.sql beside it. Write one.`]
      const down = loadDown(file.downPath)
      downs.set(file.name, down)
      return down.problems
    })
    if (problems.length > 0) throw new MigrationsRefused(problems)
    return withOwnSession(client, set, parts, signal, async own => {
      const umzug = await openUmzug(own, set, files, applied.map(({ name }) => name), parts, downs)
      return (await umzug.down({ step: count }).catch(throwCause)).map(({ name }) => name)
    })
  })
}

/**
 * Umzug runs the steps in order. This module adds what Umzug lacks: the lock, the checksum, and the journal row in the
 * transaction of its step. The import of Umzug takes 0.1 s, so a start with nothing to migrate does not import it.
 */
async function openUmzug (
  client: Client, { owner, schema }: MigrationSet, files: readonly MigrationFile[], applied: readonly string[], { log, clock }: SessionParts,
  downs: ReadonlyMap<string, DownFile> = new Map()
): Promise<Umzug> {
  const { Umzug } = await import('umzug')
  const run = async (name: string, done: 'migrated' | 'undone', step: Step): Promise<void> => {
    const startedAt = clock.now()
    const watch = isHost({ owner }) ? undefined : (client: Client) => watchOutside(client, step.path, { schema, indexes: indexesOf[owner] ?? [] })
    await runStep(client, { ...step, watch })
    log.info({ owner, migration: name, durationMs: Math.round(clock.now() - startedAt) }, done)
  }
  return new Umzug({
    migrations: files.map(({ name, path, text, sha256, breaks }) => {
      const down = downs.get(name)
      const insert = { text: 'insert into bulkhead.migration (owner, name, sha256, breaks) values ($1, $2, $3, $4)', values: [owner, name, sha256, breaks] }
      const remove = { text: 'delete from bulkhead.migration where owner = $1 and name = $2', values: [owner, name] }
      return {
        name,
        up: () => run(name, 'migrated', { path, text, schema, journal: insert }),
        ...down && { down: () => run(name, 'undone', { path: down.path, text: down.text, schema, journal: remove }) }
      }
    }),
    // Each step updates the journal in its own transaction, so Umzug has nothing left to write.
    storage: { executed: async () => [...applied], logMigration: async () => {}, unlogMigration: async () => {} },
    logger: undefined
  })
}

/** Umzug wraps the error of a step in a message of its own; the original error says more. */
function throwCause (error: unknown): never {
  throw error instanceof Error && error.cause !== undefined ? error.cause : error
}

export function renderStatus ({ owner, applied, pending, newer, problems }: MigrationStatus): string {
  const newerBy = new Map(newer.map(({ name, breaks }) => [name, breaks === null ? '  of a newer version' : `  of a newer version; breaks versions before ${breaks}`]))
  return [
    `${owner}: ${applied.length} applied${newer.length === 0 ? '' : `, ${newer.length} of them by a newer version`}, ${pending.length} pending`,
    ...applied.map(({ name, appliedAt }) => `  ${name}  ${appliedAt.toISOString()}${newerBy.get(name) ?? ''}`),
    ...pending.map(name => `  ${name}  pending`),
    ...problems.map(problem => `! ${problem}`)
  ].join('\n')
}
