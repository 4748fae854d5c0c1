// Checks how far a caller's authority goes: what the caller may grant, whose account the caller may take over,
// and which projects the caller may know of. Changes to access run these checks inside their transaction, on its rows.

import { Forbidden, sql, z } from '../../contract/index.ts'
import type { Transaction, User } from '../../contract/index.ts'
import { counts, holdsByRole, isNeverLent } from './permission-sql.ts'

type Queries = Pick<Transaction, 'anyFirst' | 'oneFirst'>

/** The owner of a project holds these permissions in it without a role. */
const ofOwners: readonly string[] = ['project:read', 'project:write', 'project:delete']

/** Returns whether the caller uses a token that may do less than its user. */
export const isNarrowed = ({ signedInBy }: User): boolean => signedInBy.kind === 'token' && (signedInBy.scopes.length > 0 || signedInBy.projectId !== null)

/** Returns the scopes of the caller's token; null when no scopes narrow the caller. */
export const scopesOf = ({ signedInBy }: User): readonly string[] | null =>
  signedInBy.kind === 'token' && signedInBy.scopes.length > 0 ? signedInBy.scopes : null

const boundProjectOf = ({ signedInBy }: User): string | null => signedInBy.kind === 'token' ? signedInBy.projectId : null

/** Returns whether the caller's token allows the permission in the project; a null `projectId` stands for everywhere. */
export const isLeftByToken = (actor: User, permission: string, projectId: string | null): boolean =>
  (boundProjectOf(actor) ?? projectId) === projectId && scopesOf(actor)?.includes(permission) !== false

/**
 * Throws `Forbidden` unless the caller holds each of the permissions by a role, in the project or everywhere,
 * and the caller's token allows it there. With a null `projectId`, only roles that hold everywhere count.
 */
export async function assertMayGrant (tx: Queries, actor: User, permissions: readonly string[], projectId: string | null): Promise<void> {
  const held = new Set(await tx.anyFirst(sql.type(z.object({ name: z.string() }))`
    select p.name from public.permissions p
    where p.name = any(${sql.array(permissions, 'text')}::text[])
      and ${holdsByRole(sql.fragment`${actor.id}`, sql.fragment`p.id`, sql.fragment`${projectId}::uuid`)}
  `))
  const lacking = permissions.filter(name => !held.has(name) || !isLeftByToken(actor, name, projectId))
  if (lacking.length > 0) {
    const where = projectId === null ? 'everywhere' : 'in that project'
    throw new Forbidden(`You cannot grant what you do not hold by a role ${where}: ${lacking.map(name => `"${name}"`).join(', ')}.`)
  }
}

/**
 * Throws `Forbidden` for a scope that grants or reveals (`isNeverLent`), unless the caller holds it by a role somewhere.
 * Other scopes need no check, because a scope never allows more than its user holds.
 */
export async function assertMayName (tx: Queries, actor: User, scopes: readonly string[]): Promise<void> {
  const strong = scopes.filter(isNeverLent)
  if (strong.length === 0) return
  const held = await tx.anyFirst(sql.type(z.object({ name: z.string() }))`
    select distinct p.name
    from public.users u join public.user_roles ur on ur.user_id = u.id join public.role_permissions rp on rp.role_id = ur.role_id join public.permissions p on p.id = rp.permission_id
    where u.id = ${actor.id} and u.is_active and p.name = any(${sql.array(strong, 'text')}::text[])
  `)
  const lacking = strong.filter(name => !held.includes(name))
  if (lacking.length > 0) throw new Forbidden(`A token cannot have a scope that you do not hold by a role: ${lacking.map(name => `"${name}"`).join(', ')}.`)
}

/**
 * Throws `Forbidden` unless the caller holds, everywhere and in each project, all permissions that the user holds there,
 * or would hold once active. For the user, roles, delegations and owned projects count.
 * For the caller, roles and owned projects count, as far as the caller's token allows; delegations to the caller do not.
 */
export async function assertMayTakeOver (tx: Queries, actor: User, userId: string, now: string): Promise<void> {
  const [scopes, bound] = [scopesOf(actor), boundProjectOf(actor)]
  const owned = sql.array(ofOwners, 'text')
  const isAbove = await tx.oneFirst(sql.type(z.object({ isAbove: z.boolean() }))`
    with power as (
      select rp.permission_id, ur.project_id from public.user_roles ur join public.role_permissions rp on rp.role_id = ur.role_id where ur.user_id = ${userId}
      union
      select d.permission_id, d.project_id from public.delegations d where d.delegate_id = ${userId} and ${counts(now)}
      union
      select p.id, owned.id from public.projects owned join public.permissions p on p.name = any(${owned}::text[]) where owned.owner_id = ${userId}
    )
    select exists (
      select from power join public.permissions p on p.id = power.permission_id
      where not (
        (${scopes === null} or p.name = any(${sql.array(scopes ?? [], 'text')}::text[]))
        and (${bound}::uuid is null or power.project_id is not distinct from ${bound}::uuid)
        and (
          ${holdsByRole(sql.fragment`${actor.id}`, sql.fragment`power.permission_id`, sql.fragment`power.project_id`)}
          or (p.name = any(${owned}::text[]) and exists (select from public.projects own where own.id = power.project_id and own.owner_id = ${actor.id}))
        )
      )
    ) as "isAbove"
  `)
  if (isAbove) {
    throw new Forbidden('This user holds permissions that you do not hold by a role everywhere they do. You can send them a link to set a new password: POST /api/users/:id/password-link.')
  }
}

/**
 * Returns whether the caller's user may know that the project exists. One of these is enough:
 * - The user holds a permission in the project, or one of the project permissions (`ofOwners`) everywhere.
 * - The user owns the project.
 * - The project is not private.
 * - The request is about at least one permission, and the user holds all of them there by a role.
 *
 * A project that does not exist or was deleted looks like one that the user may not know of.
 * So does every other project to a token that is bound to a project.
 */
export function mayKnowProject (
  tx: Queries, actor: User, { projectId, about, now }: { projectId: string, about: readonly string[], now: string }
): Promise<boolean> {
  if ((boundProjectOf(actor) ?? projectId) !== projectId) return Promise.resolve(false)
  const concernsProjects = sql.fragment`p.name = any(${sql.array(ofOwners, 'text')}::text[])`
  return tx.oneFirst(sql.type(z.object({ mayKnow: z.boolean() }))`
    select exists (
      select from public.projects there
      where there.id = ${projectId} and there.is_active and (
        there.owner_id = ${actor.id} or there.visibility <> 'private'
        or exists (
          select from public.user_roles ur join public.role_permissions rp on rp.role_id = ur.role_id join public.permissions p on p.id = rp.permission_id
          where ur.user_id = ${actor.id} and (ur.project_id = there.id or (ur.project_id is null and ${concernsProjects}))
        )
        or exists (
          select from public.delegations d join public.permissions p on p.id = d.permission_id
          where d.delegate_id = ${actor.id} and (d.project_id = there.id or (d.project_id is null and ${concernsProjects})) and ${counts(now)}
        )
        or (
          select count(*) from public.permissions p
          where p.name = any(${sql.array(about, 'text')}::text[])
            and ${holdsByRole(sql.fragment`${actor.id}`, sql.fragment`p.id`, sql.fragment`there.id`)}
        ) = ${about.length === 0 ? -1 : about.length}
      )
    ) as "mayKnow"
  `)
}
