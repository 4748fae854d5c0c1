// Creates the host's own tables for access and encryption beside the core schema: for example the epoch of permissions,
// counters of attempts, known networks and the master keys in use.
// It also takes away the host's own right to change the audit log.

import { sql, z } from '../contract/index.ts'
import type { Log, Postgres, Transaction } from '../contract/index.ts'
import { createAuditSource, sealAuditSource } from './audit/audit-source.ts'
import { lockAccess } from './common/access-lock.ts'
import { prepareUserKeys } from './user/user-key.ts'

/**
 * Creates what is missing, and makes six queries when nothing is. Many hosts may call this at the same time.
 * `log` gets a warning for each thing that an operator should fix.
 */
export async function prepareAccess (postgres: Postgres, log?: Log, { auditIsArchived = false } = {}): Promise<void> {
  const isPrepared = await postgres.oneFirst(sql.type(z.object({ isPrepared: z.boolean() }))`
    select count(to_regclass(name)) = 10 as "isPrepared"
    from unnest(array[
      'bulkhead.access_epoch', 'bulkhead.rate_limit', 'bulkhead.known_network', 'bulkhead.archive_row', 'bulkhead.password_link',
      'bulkhead.master_key_check', 'bulkhead.master_key', 'bulkhead.master_key_use', 'bulkhead.sealed', 'bulkhead.audit_source'
    ]) as name
  `)
  if (!isPrepared) await postgres.transaction(createTables)
  await prepareUserKeys(postgres)
  await sealAuditLog(postgres, log)
  await sealAuditSource(postgres)
  await allowArchive(postgres, auditIsArchived)
}

async function createTables (tx: Transaction): Promise<void> {
  await lockAccess(tx)
  await tx.query(sql.type(z.object({}))`create schema if not exists bulkhead`)
  // This table has one row. Every transaction that changes what a user may do also changes its value.
  // Permissions that were computed under another value are void.
  await tx.query(sql.type(z.object({}))`
    create table if not exists bulkhead.access_epoch (
      one_row boolean primary key default true check (one_row),
      value   bigint not null
    )
  `)
  await tx.query(sql.type(z.object({}))`insert into bulkhead.access_epoch (value) values (1) on conflict do nothing`)
  await tx.query(sql.type(z.object({}))`
    create table if not exists bulkhead.rate_limit (
      key     text primary key,
      taken   integer not null,
      ends_at timestamptz not null
    )
  `)
  await tx.query(sql.type(z.object({}))`create index if not exists rate_limit_ends_at on bulkhead.rate_limit (ends_at)`)
  await tx.query(sql.type(z.object({}))`
    create table if not exists bulkhead.known_network (
      user_id uuid not null,
      network text not null,
      seen_at timestamptz not null,
      primary key (user_id, network)
    )
  `)
  await tx.query(sql.type(z.object({}))`
    create table if not exists bulkhead.master_key_check (
      one_row boolean primary key default true check (one_row),
      value   text not null
    )
  `)
  // Everything that is sealed is under one of these keys.
  await tx.query(sql.type(z.object({}))`
    create table if not exists bulkhead.master_key (
      key_id text primary key,
      since  timestamptz not null default now()
    )
  `)
  await tx.query(sql.type(z.object({}))`
    create table if not exists bulkhead.master_key_use (
      replica uuid primary key,
      key_id  text not null,
      seen_at timestamptz not null default now()
    )
  `)
  // This table lists the sealed data of plugins. `left_over` is how much of it was not under `key_id` at `counted_at`.
  // The three columns are null until the first count.
  await tx.query(sql.type(z.object({}))`
    create table if not exists bulkhead.sealed (
      plugin     text not null,
      name       text not null,
      key_id     text,
      left_over  bigint,
      counted_at timestamptz,
      primary key (plugin, name)
    )
  `)
  // This table holds the link by which a user may set a new password. The link is void once `updated_at` of the user differs.
  await tx.query(sql.type(z.object({}))`
    create table if not exists bulkhead.password_link (
      user_id         uuid primary key,
      token_hash      text not null unique,
      user_updated_at timestamptz not null,
      expires_at      timestamptz not null
    )
  `)
  // This table records which rows are being moved into which archive object. The record exists from before the object is
  // written until the rows are deleted from their table.
  await tx.query(sql.type(z.object({}))`
    create table if not exists bulkhead.archive_row (
      source text not null,
      row_id uuid not null,
      object text not null,
      primary key (source, row_id)
    )
  `)
  await createAuditSource(tx)
}

const Seal = z.object({ isSealed: z.boolean(), isOwner: z.boolean(), isSuperuser: z.boolean(), role: z.string() })

/**
 * Takes from the host's role the rights to change the audit log, so that the role can only add entries and read them.
 * The role keeps the right to update `project_id`, because the foreign key clears this column when a project is deleted.
 * Rules drop every update of an entry whose project exists or that sets a project, and every deletion of an entry that is not archived.
 * The rules also apply to a superuser. This runs at every start, because a restored dump may lack the revocations and rules.
 */
async function sealAuditLog (postgres: Postgres, log: Log | undefined): Promise<void> {
  const { isSealed, isOwner, isSuperuser, role } = await postgres.one(sql.type(Seal)`
    select
      not exists (
        select from aclexplode(coalesce(relacl, acldefault('r', relowner))) as granted
        where granted.grantee in (0, relowner) and granted.privilege_type in ('UPDATE', 'DELETE', 'TRUNCATE')
      ) and (
        select array_agg(rulename::text order by rulename) = array['audit_log_keep', 'audit_log_keep_unarchived']
        from pg_rewrite where ev_class = pg_class.oid
      ) as "isSealed",
      relowner = pg_roles.oid as "isOwner", rolsuper as "isSuperuser", rolname::text as role
    from pg_class join pg_roles on rolname = current_user where pg_class.oid = 'public.audit_log'::regclass
  `)
  if (!isSealed && isOwner) await postgres.transaction(seal)
  if (isSuperuser) {
    log?.warn({ role }, `the role "${role}" is a superuser of the database, who can empty the audit log; give DATABASE_URL another role`)
  } else if (!isOwner && !isSealed) {
    log?.warn({ role }, `the audit log belongs to another role than "${role}" and can be changed; start the host once as its owner, or revoke UPDATE, DELETE and TRUNCATE`)
  }
}

async function seal (tx: Transaction): Promise<void> {
  await lockAccess(tx)
  await tx.query(sql.type(z.object({}))`revoke update, delete, truncate on public.audit_log from current_user, public`)
  await tx.query(sql.type(z.object({}))`grant update (project_id) on public.audit_log to current_user`)
  // Both rules below have a condition. Postgres therefore still checks the privilege first, and a role without it gets an error.
  // The dropped rule is that of a version without an archive.
  await tx.query(sql.type(z.object({}))`drop rule if exists audit_log_keep_rows on public.audit_log`)
  await tx.query(sql.type(z.object({}))`
    create or replace rule audit_log_keep_unarchived as on delete to public.audit_log
    where not exists (select from bulkhead.archive_row r where r.source = 'audit_log' and r.row_id = old.id) do instead nothing
  `)
  await tx.query(sql.type(z.object({}))`
    create or replace rule audit_log_keep as on update to public.audit_log
    where new.project_id is not null or exists (select from public.projects p where p.id = old.project_id) do instead nothing
  `)
}

/**
 * Creates or drops the only function that deletes entries from the audit log. The function deletes entries that are
 * recorded as archived and older than 30 days. It grants itself the right to delete and revokes it again, in one transaction.
 * The function exists only while the settings ask for it.
 */
async function allowArchive (postgres: Postgres, isAllowed: boolean): Promise<void> {
  // Version 1.2 created the function without the deletion from `bulkhead.audit_source`; such a function is replaced.
  const made = await postgres.maybeOneFirst(sql.type(z.object({ isCurrent: z.boolean() }))`
    select prosrc like '%audit_source%' as "isCurrent" from pg_proc where oid = to_regprocedure('bulkhead.delete_archived_audit(text)')
  `)
  if (isAllowed ? made === true : made === null) return
  await postgres.transaction(async tx => {
    await lockAccess(tx)
    await tx.query(isAllowed ? deleteArchived : sql.type(z.object({}))`drop function if exists bulkhead.delete_archived_audit(text)`)
    if (isAllowed) await tx.query(sql.type(z.object({}))`revoke all on function bulkhead.delete_archived_audit(text) from public -- unchecked: it was just made`)
  })
}

const deleteArchived = sql.type(z.object({}))`
  create or replace function bulkhead.delete_archived_audit (archive text) returns bigint
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
  declare
    gone bigint;
  begin
    grant delete on public.audit_log, bulkhead.audit_source to current_user;
    delete from bulkhead.audit_source s using bulkhead.archive_row r, public.audit_log a
    where r.source = 'audit_log' and r.object = archive and s.audit_id = r.row_id and a.id = r.row_id and a.created_at < now() - interval '30 days';
    delete from public.audit_log a using bulkhead.archive_row r
    where r.source = 'audit_log' and r.object = archive and a.id = r.row_id and a.created_at < now() - interval '30 days';
    get diagnostics gone = row_count;
    revoke delete on public.audit_log, bulkhead.audit_source from current_user;
    return gone;
  end
  $$
`
