// Sets up the table that records which plugin wrote an entry of the audit log.
// It is a table beside the log, because the columns of the log itself are fixed. Its rows are as unchangeable as the entries.

import { sql, z } from '../../contract/index.ts'
import type { Postgres, Transaction } from '../../contract/index.ts'
import { lockAccess } from '../common/access-lock.ts'

export async function createAuditSource (tx: Transaction): Promise<void> {
  // The table has no foreign key: a deletion by one would need the rights that are taken away below.
  await tx.query(sql.type(z.object({}))`
    create table if not exists bulkhead.audit_source (
      audit_id     uuid primary key,
      plugin       text not null,
      is_by_plugin boolean not null
    )
  `)
}

/**
 * Takes from the host's role the rights to change this table.
 * It runs at every start, because a restored dump may lack the revocations and rules.
 */
export async function sealAuditSource (postgres: Postgres): Promise<void> {
  const { isSealed, isOwner } = await postgres.one(sql.type(z.object({ isSealed: z.boolean(), isOwner: z.boolean() }))`
    select
      not exists (
        select from aclexplode(coalesce(relacl, acldefault('r', relowner))) as granted
        where granted.grantee in (0, relowner) and granted.privilege_type in ('UPDATE', 'DELETE', 'TRUNCATE')
      ) and coalesce((
        select array_agg(rulename::text order by rulename) = array['audit_source_keep', 'audit_source_keep_unarchived']
        from pg_rewrite where ev_class = pg_class.oid
      ), false) as "isSealed",
      relowner = pg_roles.oid as "isOwner"
    from pg_class join pg_roles on rolname = current_user where pg_class.oid = 'bulkhead.audit_source'::regclass
  `)
  if (!isSealed && isOwner) await postgres.transaction(seal)
}

async function seal (tx: Transaction): Promise<void> {
  await lockAccess(tx)
  await tx.query(sql.type(z.object({}))`revoke update, delete, truncate on bulkhead.audit_source from current_user, public`)
  // Both rules have a condition. Postgres therefore still checks the privilege first, and a role without it gets an error.
  await tx.query(sql.type(z.object({}))`
    create or replace rule audit_source_keep as on update to bulkhead.audit_source where old.audit_id is not null do instead nothing
  `)
  await tx.query(sql.type(z.object({}))`
    create or replace rule audit_source_keep_unarchived as on delete to bulkhead.audit_source
    where not exists (select from bulkhead.archive_row r where r.source = 'audit_log' and r.row_id = old.audit_id) do instead nothing
  `)
}
