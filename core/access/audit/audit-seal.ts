// Takes away the host's own right to change the audit log and the table beside it, and keeps the one function that deletes
// archived entries.

import { sql, z } from '../../contract/index.ts'
import type { Log, Postgres, Transaction } from '../../contract/index.ts'
import { lockAccess } from '../common/access-lock.ts'

const Seal = z.object({ isSealed: z.boolean(), isOwner: z.boolean(), isSuperuser: z.boolean(), role: z.string() })

/**
 * Takes from the host's role the rights to change the audit log and the table of its sources, so that the role can only
 * add entries and read them. The role keeps the right to update `project_id`, because the foreign key clears this column
 * when a project is deleted. Rules drop every update of an entry whose project exists or that sets a project, and every
 * deletion of an entry that is not archived. The rules also apply to a superuser.
 * This runs at every start, because a restored dump may lack the revocations and rules.
 */
export async function sealAudit (postgres: Postgres, log: Log | undefined): Promise<void> {
  const { isSealed, isOwner, isSuperuser, role } = await readSeal(postgres, 'public.audit_log')
  if (!isSealed && isOwner) await postgres.transaction(sealLog)
  if (isSuperuser) {
    log?.warn({ role }, `the role "${role}" is a superuser of the database, who can empty the audit log; give DATABASE_URL another role`)
  } else if (!isOwner && !isSealed) {
    log?.warn({ role }, `the audit log belongs to another role than "${role}" and can be changed; start the host once as its owner, or revoke UPDATE, DELETE and TRUNCATE`)
  }
  const source = await readSeal(postgres, 'bulkhead.audit_source')
  if (!source.isSealed && source.isOwner) await postgres.transaction(sealSource)
}

/** The table is sealed when its rules are there and neither its owner nor everybody may change its rows. */
const readSeal = (postgres: Postgres, table: string): Promise<z.output<typeof Seal>> => postgres.one(sql.type(Seal)`
  select
    not exists (
      select from aclexplode(coalesce(relacl, acldefault('r', relowner))) as granted
      where granted.grantee in (0, relowner) and granted.privilege_type in ('UPDATE', 'DELETE', 'TRUNCATE')
    ) and coalesce((
      select array_agg(rulename::text order by rulename) = array[relname || '_keep', relname || '_keep_unarchived']
      from pg_rewrite where ev_class = pg_class.oid
    ), false) as "isSealed",
    relowner = pg_roles.oid as "isOwner", rolsuper as "isSuperuser", rolname::text as role
  from pg_class join pg_roles on rolname = current_user where pg_class.oid = ${table}::regclass
`)

// The rules below have conditions. Postgres therefore still checks the privilege first, and a role without it gets an
// error.

async function sealLog (tx: Transaction): Promise<void> {
  await lockAccess(tx)
  await tx.query(sql.type(z.object({}))`revoke update, delete, truncate on public.audit_log from current_user, public`)
  await tx.query(sql.type(z.object({}))`grant update (project_id) on public.audit_log to current_user`)
  // This rule is that of a version without an archive.
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

async function sealSource (tx: Transaction): Promise<void> {
  await lockAccess(tx)
  await tx.query(sql.type(z.object({}))`revoke update, delete, truncate on bulkhead.audit_source from current_user, public`)
  await tx.query(sql.type(z.object({}))`
    create or replace rule audit_source_keep as on update to bulkhead.audit_source where old.audit_id is not null do instead nothing
  `)
  await tx.query(sql.type(z.object({}))`
    create or replace rule audit_source_keep_unarchived as on delete to bulkhead.audit_source
    where not exists (select from bulkhead.archive_row r where r.source = 'audit_log' and r.row_id = old.audit_id) do instead nothing
  `)
}

/**
 * Creates or drops the only function that deletes entries from the audit log. The function deletes entries that are
 * recorded as archived and older than 30 days. It grants itself the right to delete and revokes it again, in one transaction.
 * The function exists only while the settings ask for it.
 */
export async function allowArchive (postgres: Postgres, isAllowed: boolean): Promise<void> {
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
