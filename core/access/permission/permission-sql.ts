// SQL conditions for the two ways to hold a permission: by a role and by a delegation. They are shared by the queries.
// The file also says which permissions are never delegated.

import { sql } from '../../contract/index.ts'

/** A piece of SQL that names a column or binds a value. */
type Sql = ReturnType<typeof sql.fragment>

/** Permissions outside `admin:*` that give their holder the power of other users, or show secrets. */
const grantingOrRevealing: readonly string[] = ['host:operate', 'host:approve', 'secret:reveal']

/**
 * Permissions that grant or reveal are given by a role and never delegated:
 * a user who holds one for four seconds can make its effect last.
 */
export const isNeverLent = (permission: string): boolean => permission.startsWith('admin:') || grantingOrRevealing.includes(permission)

/**
 * True when the user holds the permission by a role, everywhere or in the project (null: everywhere only).
 * A user who is not active holds nothing.
 */
export const holdsByRole = (user: Sql, permission: Sql, project: Sql) => sql.fragment`exists (
  select from public.users holder
  join public.user_roles ur on ur.user_id = holder.id and (ur.project_id is null or ur.project_id = ${project})
  join public.role_permissions rp on rp.role_id = ur.role_id and rp.permission_id = ${permission}
  where holder.id = ${user} and holder.is_active
)`

/**
 * True when the delegation `d` counts. Its permission is lent, not given away, so it counts only while the delegator
 * holds the permission by a role where it was lent.
 */
export const counts = (now: string) => sql.fragment`(
  d.revoked_at is null and (d.expires_at is null or d.expires_at > ${now})
  and not exists (
    select from public.permissions lent
    where lent.id = d.permission_id and (lent.resource = 'admin' or lent.name = any(${sql.array(grantingOrRevealing, 'text')}::text[]))
  )
  and ${holdsByRole(sql.fragment`d.delegator_id`, sql.fragment`d.permission_id`, sql.fragment`d.project_id`)}
)`
