// Keeps a plugin's migration in the plugin's own schema: a change elsewhere is found before the commit, and the whole
// file is then rolled back.

import type { Client } from '../postgres/postgres-client.ts'
import { readCatalogue, type Catalogue, type Entry } from './migration-catalogue.ts'
import { ask, MigrationFailed } from './migration-session.ts'

export interface Own {
  readonly schema: string
  /** Names, with their schema, of plain indexes on other tables that belong to the plugin. */
  readonly indexes: readonly string[]
}

const shownMax = 10

/**
 * State outside the schema after the last file of a session. The next file starts with this state, because reading it
 * again takes longer than most files.
 */
const lastRead = new WeakMap<Client, { readonly schema: string, readonly catalogue: Catalogue }>()

/**
 * Must be called in the transaction, before the file runs. The result must be called after the file, in the same
 * transaction, and throws `MigrationFailed` when the file changed anything outside its schema. A program that the
 * server runs and a second connection that it opens (`copy … to program`, `dblink`) are not detected.
 */
export async function watchOutside (client: Client, path: string, { schema, indexes }: Own): Promise<() => Promise<void>> {
  const read = (): Promise<Catalogue> => readCatalogue(client, schema, indexes)
  const transaction = await findTransaction(client)
  const last = lastRead.get(client)
  const before = last?.schema === schema ? last.catalogue : await readBefore(client, read)
  return async () => {
    const refuse = (why: string): never => {
      throw new MigrationFailed(`${path} was refused: ${why} Nothing of this file was kept; the files before it are applied.`)
    }
    // Triggers and cursors that wait for the commit would otherwise change things after this check.
    await client.query('set constraints all immediate; close all; set session authorization default; reset role; ' + readerSettings)
    if (await findTransaction(client) !== transaction) {
      throw new MigrationFailed(`${path} was refused: it ended the transaction that it ran in, so what it did may have been kept. Look at what it changed, and take that out.`)
    }
    const after = await read()
    const changes = [...await findWrites(client, schema), ...await findReferences(client, schema), ...await findChanges(client, before, after)]
    if (changes.length === 0) {
      // Rows without a digest are present only because another session wrote them in the meantime.
      lastRead.set(client, { schema, catalogue: new Map([...after].filter(([, { digest }]) => digest !== null)) })
      return
    }
    const shown = changes.slice(0, shownMax).map(change => `\n  - ${change}`).join('')
    const more = changes.length > shownMax ? `\n  - and ${changes.length - shownMax} more` : ''
    refuse(`a plugin's migration may change its own schema "${schema}" only, and this one changes what is outside:${shown}${more}\n` +
      'Take these statements out; a table that belongs to a user, a project or what is in one refers to it with a foreign key. Extensions, roles and grants are made by the administrator.')
  }
}

/** The query is long and its result short: Postgres would need more time to compile it first (JIT) than to run it. */
const readerSettings = 'set local search_path = pg_catalog, pg_temp; set local jit = off'

/** Reads the catalogue and restores the settings, so that the file runs with the settings as they were. */
async function readBefore (client: Client, read: () => Promise<Catalogue>): Promise<Catalogue> {
  const [own] = await ask<{ path: string, jit: string }>(client, `select current_setting('search_path') as path, current_setting('jit') as jit`)
  await ask(client, readerSettings)
  const before = await read()
  await ask(client, `select set_config('search_path', $1, true), set_config('jit', $2, true)`, [own?.path, own?.jit])
  return before
}

async function findTransaction (client: Client): Promise<string | undefined> {
  const [row] = await ask<{ id: string }>(client, 'select pg_catalog.pg_current_xact_id()::text as id')
  return row?.id
}

/**
 * Finds the tables that were written, by their locks: a write takes this lock and holds it to the end of the
 * transaction, whatever settings hide the write from the statistics.
 */
async function findWrites (client: Client, schema: string): Promise<string[]> {
  const rows = await ask<{ title: string }>(client, `
    select distinct c.oid::regclass::text as title from pg_locks l join pg_class c on c.oid = l.relation join pg_namespace n on n.oid = c.relnamespace
    where l.pid = pg_backend_pid() and l.locktype = 'relation' and l.mode = 'RowExclusiveLock' and c.relkind in ('r', 'p', 'f', 'm', 'S')
      and l.database = (select oid from pg_database where datname = current_database())
      and n.nspname <> $1 and n.nspname !~ '^pg_(toast$|temp_|toast_temp_)' and (n.nspname <> 'pg_catalog' or c.relname = 'pg_largeobject')
    order by 1`, [schema])
  return rows.map(({ title }) => `writes to ${title}`)
}

/**
 * The host deletes rows of these tables at any time. A foreign key could prevent that, so that no user could sign out
 * or lose a role.
 */
const unreferable = ['api_tokens', 'audit_log', 'auth_sessions', 'delegations', 'permissions', 'role_permissions', 'roles', 'user_roles'].map(table => `public.${table}`)

/**
 * Finds foreign keys that are not permitted. A key may refer to the plugin's own tables and to the core tables that
 * plugins may build on. A key to any other table prevents the owner of that table from deleting its rows.
 */
async function findReferences (client: Client, schema: string): Promise<string[]> {
  const rows = await ask<{ title: string }>(client, `
    select format('%I of %s refers to %s', k.conname, k.conrelid::regclass, k.confrelid::regclass) as title
    from pg_constraint k join pg_class c on c.oid = k.confrelid join pg_namespace n on n.oid = c.relnamespace
    where k.contype = 'f' and k.connamespace = (select oid from pg_namespace where nspname = $1) and age(k.xmin) <= 0
      and n.nspname <> $1 and (n.nspname <> 'public' or c.oid::regclass::text = any ($2))
    order by 1`, [schema, unreferable])
  return rows.map(({ title }) => `the foreign key ${title}`)
}

async function findChanges (client: Client, before: Catalogue, after: Catalogue): Promise<string[]> {
  const changes: { what: string, entry: Entry }[] = []
  for (const [key, entry] of after) {
    const old = before.get(key)
    if (entry.digest === null || old?.digest !== entry.digest) changes.push({ what: old === undefined && entry.digest !== null ? 'makes' : 'changes', entry })
  }
  const foreign = await findSharedUntouched(client)
  const own = await findOwn(client, new Set(changes.flatMap(({ entry: { xmin } }) => xmin === null ? [] : [xmin])))
  const gone = [...before].filter(([key]) => !after.has(key)).map(([, entry]) => ({ what: 'removes', entry }))
  const ours = [
    ...changes.filter(({ entry: { xmin, catalogue } }) => xmin === null ? !foreign.has(catalogue) : own.has(xmin)),
    ...gone.filter(({ entry: { catalogue } }) => !foreign.has(catalogue))
  ]
  return ours.map(({ what, entry: { kind, title } }) => `${what} ${kind} ${title}`)
}

/**
 * Returns the catalogues, of those that all databases share, from which this transaction has removed nothing. After a
 * removal it would hold their locks until its end. A row that is missing from the returned catalogues was therefore
 * removed by another session, perhaps in another database.
 */
async function findSharedUntouched (client: Client): Promise<ReadonlySet<string>> {
  const rows = await ask<{ name: string }>(client, `
    select c.relname as name from pg_class c where c.relisshared and c.relkind = 'r' and not exists (
      select from pg_locks l where l.pid = pg_backend_pid() and l.locktype = 'relation' and l.relation = c.oid and l.mode not in ('AccessShareLock', 'RowShareLock')
    )`)
  const names = new Set(rows.map(({ name }) => name))
  // The view `pg_roles` shows the rows of the catalogue to roles that may not read the catalogue itself.
  return names.has('pg_authid') ? names.add('pg_roles') : names
}

/**
 * Returns those of `xmins` that are this transaction or its savepoints. The rows that this transaction sees may also
 * come from other sessions, but the transactions of those sessions have ended. A catalogue row holds only the lower
 * half of a transaction's number.
 */
async function findOwn (client: Client, xmins: ReadonlySet<string>): Promise<ReadonlySet<string>> {
  const rows = await ask<{ xmin: string }>(client, `
    with now as (select pg_current_xact_id()::text::bigint as id),
      named as (select xmin, ((now.id >> 32) << 32) + xmin::bigint as id, now.id as now from unnest($1::text[]) as xmin, now where xmin::bigint > 2)
    select xmin from named where case when id >= now then pg_xact_status(id::text::xid8) = 'in progress' else false end`, [[...xmins]])
  return new Set(rows.map(({ xmin }) => xmin))
}
