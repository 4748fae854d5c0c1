// Finds all projects in which a user holds a permission, in one query. Lists of projects are narrowed by the result.

import { Reach, sql } from '../../contract/index.ts'
import type { Access, Clock, Postgres, User } from '../../contract/index.ts'
import { isActingUser } from '../common/caller.ts'
import { counts } from './permission-sql.ts'

const nowhere: Reach = { isEverywhere: false, projectIds: [] }

export function createPermittedProjects ({ postgres, clock }: { postgres: Postgres, clock: Clock }): Access['projectsWith'] {
  return async (user, permission) => {
    if (typeof user === 'string') return find(user, permission)
    if (isActingUser(user)) return find(user.id, permission)
    const { signedInBy } = user
    if (signedInBy.kind === 'session') return find(user.id, permission)
    if (signedInBy.scopes.length > 0 && !signedInBy.scopes.includes(permission)) return nowhere
    return within(await find(user.id, permission), signedInBy)
  }

  function find (userId: string, permission: string): Promise<Reach> {
    const now = new Date(clock.now()).toISOString()
    return postgres.one(sql.type(Reach)`
      with holder as (select id from public.users where id = ${userId} and is_active),
      held as (
        select ur.project_id
        from holder join public.user_roles ur on ur.user_id = holder.id
        join public.role_permissions rp on rp.role_id = ur.role_id join public.permissions p on p.id = rp.permission_id and p.name = ${permission}
        union
        select d.project_id
        from holder join public.delegations d on d.delegate_id = holder.id join public.permissions p on p.id = d.permission_id and p.name = ${permission}
        where ${counts(now)}
      ),
      reach as (select coalesce(bool_or(project_id is null), false) as "isEverywhere" from held)
      select "isEverywhere", array(select project_id from held where not "isEverywhere") as "projectIds" from reach
    `)
  }
}

/** A token that is bound to a project reaches that project at most. */
function within (reach: Reach, { projectId }: Extract<User['signedInBy'], { kind: 'token' }>): Reach {
  if (projectId === null) return reach
  return reach.isEverywhere || reach.projectIds.includes(projectId) ? { isEverywhere: false, projectIds: [projectId] } : nowhere
}
