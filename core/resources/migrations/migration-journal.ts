// Reads which migrations the database has applied, and compares them with the files of this host.

import type { Client } from '../postgres/postgres-client.ts'
import { findTextProblems, type MigrationFile } from './migration-file.ts'
import { ask, MigrationFailed } from './migration-session.ts'

/** One row of `bulkhead.migration`. `owner` is `core`, `bulkhead` or a plugin's id. */
export interface JournalRow {
  readonly owner: string
  readonly name: string
  readonly sha256: string
  readonly appliedAt: Date
  /** The first version of the owner that can work with the migration; null: any can. */
  readonly breaks: string | null
}
export type Journal = ReadonlyMap<string, readonly JournalRow[]>

/**
 * Creates the journal. It cannot be a migration itself, because the first migration already has its row there. Its
 * schema is the host's own, so that `public` holds the core schema and nothing else. The caller must hold the lock.
 */
export async function createJournal (client: Client): Promise<void> {
  await ask(client, `
    create schema if not exists bulkhead;
    create table if not exists bulkhead.migration (
      owner      text not null,
      name       text not null,
      sha256     text not null,
      applied_at timestamptz not null default now(),
      primary key (owner, name)
    );
    do $$ begin
      -- Journals of version 1.3 lack the column. Adding it locks the table, so it is added where it is missing only.
      if not exists (select from pg_attribute where attrelid = 'bulkhead.migration'::regclass and attname = 'breaks' and not attisdropped) then
        alter table bulkhead.migration add column breaks text;
      end if;
    end $$`
  ).catch((cause: unknown) => {
    const lacksRights = (cause as { code?: unknown }).code === '42501'
    const advice = lacksRights ? ' The host needs a role that may create schemas in its database: `grant create on database … to …`.' : ''
    throw new MigrationFailed(`The journal of the migrations, bulkhead.migration, could not be made: ${(cause as Error).message}.${advice}`, { cause })
  })
}

/**
 * Reads the whole journal in one query: rows by owner, each owner's rows in the order of their names. It is empty on a
 * database that was never migrated.
 */
export async function readJournal (client: Client): Promise<Journal> {
  const rows = await ask<JournalRow>(client,
    // A journal of version 1.3 has no column "breaks".
    'select owner, name, sha256, applied_at as "appliedAt", to_jsonb(migration) ->> \'breaks\' as breaks from bulkhead.migration order by owner, name collate "C"'
  ).catch((error: unknown) => {
    if (isUndefinedTable(error)) return []
    throw error
  })
  return Map.groupBy(rows, ({ owner }) => owner)
}

const isUndefinedTable = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === '42P01'

export interface History {
  readonly pending: readonly MigrationFile[]
  /** Applied by a newer version, which is no problem for this one, unless they say so. */
  readonly newer: readonly JournalRow[]
  readonly problems: readonly string[]
}

/** Finds the files of one owner that have not run yet, and every problem that prevents them from running. */
export function findPending (
  { files, applied, version }: { files: readonly MigrationFile[], applied: readonly JournalRow[], version?: string | undefined }
): History {
  const byName = new Map(files.map(file => [file.name, file]))
  const appliedNames = new Set(applied.map(({ name }) => name))
  const pending = files.filter(({ name }) => !appliedNames.has(name))
  const newestApplied = applied.at(-1)?.name ?? ''
  const newestFile = files.at(-1)?.name ?? ''
  const newer = applied.filter(({ name }) => name > newestFile)

  const problems = [
    ...applied.filter(({ name }) => !byName.has(name) && name < newestFile).map(row => describeMissing(row, files)),
    ...newer.flatMap(row => describeBreak(row, version) ?? []),
    ...applied.flatMap(({ owner, name, sha256, appliedAt }) => {
      const file = byName.get(name)
      return file === undefined || file.sha256 === sha256 ? []
        : [`${file.path} was changed after it was applied (${appliedAt.toISOString()}). Put the old text back, and write the change as a new file; ` +
          `where what is in it may be lost, \`npm run migrate -- down 1${owner === 'core' ? '' : ` ${owner}`} --yes\` first.`]
    }),
    ...pending.filter(({ name }) => name < newestApplied).map(({ path }) =>
      `${path} is new, and sorts before ${newestApplied}, which has been applied. Rename it so that it sorts last.`),
    ...pending.flatMap(findTextProblems)
  ]
  return { pending, newer, problems }
}

/** Describes why this version of the owner cannot work with a migration of a newer one; undefined when it can. */
export function describeBreak ({ owner, name, breaks }: Pick<JournalRow, 'owner' | 'name' | 'breaks'>, version: string | undefined): string | undefined {
  if (breaks === null || version === undefined || compareVersions(version, breaks) >= 0) return undefined
  return `The database has the migration ${name} of "${owner}", with which versions before ${breaks} cannot work, and this is ${version}. Start version ${breaks} or newer.`
}

/** A pre-release has the files of its release, so it counts as the release. */
function compareVersions (version: string, than: string): number {
  const [own, other] = [version, than].map(text => text.split('-', 1)[0]?.split('.').map(Number) ?? [])
  const at = own?.findIndex((part, index) => part !== other?.[index]) ?? -1
  return at === -1 ? 0 : (own?.[at] ?? 0) - (other?.[at] ?? 0)
}

/** Describes an applied migration for which this host has no file. */
export function describeMissing ({ owner, name, appliedAt }: JournalRow, files: readonly MigrationFile[]): string {
  return name > (files.at(-1)?.name ?? '')
    ? `The database has the migration ${name} of "${owner}" (applied ${appliedAt.toISOString()}), which is newer than any this host has. ` +
      'Start the newer host, or take the database down to this one with it.'
    : `The migration ${name} of "${owner}" was applied ${appliedAt.toISOString()}, and its file is gone. Put ${name}.sql back.`
}
