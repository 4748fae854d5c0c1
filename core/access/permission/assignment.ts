// Lists, assigns and takes away the roles of users, everywhere or in one project.

import { AssignmentRecord, Conflict, NotFound, sql, ValidationFailed, z } from '../../contract/index.ts'
import type { Roles, Transaction } from '../../contract/index.ts'
import { recordAudit } from '../audit/audit-log.ts'
import { assertMayGrant, mayKnowProject } from './authority.ts'
import { assertAdminLeft } from './permission-epoch.ts'
import type { RoleParts } from './role.ts'

export function createAssignments (
  { postgres, clock, decisions, changeAccess }: Pick<RoleParts, 'postgres' | 'clock' | 'decisions' | 'changeAccess'>
): Pick<Roles, 'assignmentsOf' | 'assign' | 'unassign'> {
  const assignmentsOf: Roles['assignmentsOf'] = async (actor, userId, { limit, offset }) => {
    await decisions.require(actor, 'admin:roles')
    await findUserName(postgres, userId)
    const [items, total] = await Promise.all([
      postgres.any(sql.type(AssignmentRecord)`
        select
          ur.id, ur.user_id as "userId", ur.role_id as "roleId", r.name as "roleName", ur.project_id as "projectId",
          ur.granted_by as "grantedBy", ur.created_at as "createdAt"
        from public.user_roles ur join public.roles r on r.id = ur.role_id where ur.user_id = ${userId}
        order by ur.created_at desc, ur.id limit ${limit} offset ${offset}
      `),
      postgres.oneFirst(sql.type(z.object({ total: z.int() }))`select count(*) as total from public.user_roles where user_id = ${userId}`)
    ])
    return { items: [...items], total }
  }

  const assign: Roles['assign'] = async (actor, userId, { roleId, projectId = null }, origin) => {
    await decisions.require(actor, 'admin:roles')
    return changeAccess(async tx => {
      const userName = await findUserName(tx, userId)
      const roleName = await tx.maybeOneFirst(sql.type(z.object({ name: z.string() }))`select name from public.roles where id = ${roleId}`)
      const about = await permissionsOf(tx, roleId)
      const isNoProject = projectId !== null && !await mayKnowProject(tx, actor, { projectId, about, now: new Date(clock.now()).toISOString() })
      const noProject = isNoProject ? [{ path: 'body.projectId', message: 'There is no such project.' }] : []
      if (roleName === null) throw new ValidationFailed([{ path: 'body.roleId', message: 'There is no such role.' }, ...noProject])
      await assertMayGrant(tx, actor, about, projectId)
      if (isNoProject) throw new ValidationFailed(noProject)
      const row = await tx.maybeOne(sql.type(AssignmentRecord)`
        insert into public.user_roles (user_id, role_id, project_id, granted_by) values (${userId}, ${roleId}, ${projectId}, ${actor.id})
        on conflict do nothing
        returning
          id, user_id as "userId", role_id as "roleId", ${roleName}::text as "roleName", project_id as "projectId",
          granted_by as "grantedBy", created_at as "createdAt"
      `)
      if (row === null) throw new Conflict('The user has this role there already.')
      await recordAudit(tx, {
        actor, action: 'role.assign', resource: 'user', resourceId: userId, projectId, detail: { user: userName, role: roleName, roleId }, origin
      })
      return row
    })
  }

  const unassign: Roles['unassign'] = async (actor, userId, { roleId, projectId = null }, origin) => {
    await decisions.require(actor, 'admin:roles')
    await changeAccess(async tx => {
      const userName = await findUserName(tx, userId)
      const roleName = await tx.maybeOneFirst(sql.type(z.object({ name: z.string() }))`
        delete from public.user_roles ur using public.roles r
        where r.id = ur.role_id and ur.user_id = ${userId} and ur.role_id = ${roleId} and ur.project_id is not distinct from ${projectId}::uuid
        returning r.name
      `)
      if (roleName === null) {
        throw new NotFound(projectId === null ? 'The user does not have this role everywhere.' : 'The user does not have this role in the project.')
      }
      if (roleName === 'admin' && projectId === null) await assertAdminLeft(tx)
      await recordAudit(tx, {
        actor, action: 'role.unassign', resource: 'user', resourceId: userId, projectId, detail: { user: userName, role: roleName, roleId }, origin
      })
    })
  }

  return { assignmentsOf, assign, unassign }
}

async function findUserName (queries: Pick<Transaction, 'maybeOneFirst'>, id: string): Promise<string> {
  const name = await queries.maybeOneFirst(sql.type(z.object({ name: z.string() }))`select name from public.users where id = ${id}`)
  if (name === null) throw new NotFound('There is no such user.')
  return name
}

const permissionsOf = (tx: Transaction, roleId: string): Promise<readonly string[]> => tx.anyFirst(sql.type(z.object({ name: z.string() }))`
  select p.name from public.role_permissions rp join public.permissions p on p.id = rp.permission_id where rp.role_id = ${roleId} order by p.name
`)
