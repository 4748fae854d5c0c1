// Decides whether a user holds a permission, for the guard of every route, for plugins and for the administration here.

import { Forbidden, NotFound, sql, z } from '../../contract/index.ts'
import type { Access, ActingUser, Postgres, User } from '../../contract/index.ts'
import { isActingUser } from '../common/caller.ts'
import type { EffectivePermissionFinder } from './effective-permission.ts'
import type { ProjectPermissions } from './project-permission.ts'

export type Authorization = Pick<Access, 'can' | 'require'> & {
  /** Returns the permissions that the database has now; with a null `projectId`, those outside any project. */
  permissionsOf (userId: string, projectId: string | null): Promise<ReadonlySet<string>>
  /**
   * Returns the permissions of the user. For the caller of a request, the answer is at most one second old
   * and narrowed to what the caller's token may do.
   */
  heldBy (user: User | ActingUser | string, projectId: string | null | undefined): Promise<ReadonlySet<string>>
}

interface AuthorizationDeps {
  readonly postgres: Postgres
  readonly permissions: EffectivePermissionFinder
  readonly inProjects: ProjectPermissions
}

export function createAuthorization ({ postgres, permissions, inProjects }: AuthorizationDeps): Authorization {
  const permissionsOf: Authorization['permissionsOf'] = async (userId, projectId) => {
    const epoch = await postgres.oneFirst(sql.type(z.object({ epoch: z.int() }))`select value as epoch from bulkhead.access_epoch`)
    return (await permissions.find(userId, projectId, epoch)).names
  }

  const heldBy: Authorization['heldBy'] = async (user, projectId = null) => {
    if (typeof user === 'string') return permissionsOf(user, projectId)
    return isActingUser(user) ? permissionsOf(user.id, projectId) : inProjects.find(user, projectId)
  }

  return {
    permissionsOf,
    heldBy,
    can: async (user, permission, projectId) => (await heldBy(user, projectId)).has(permission),
    async require (user, permission, projectId) {
      const held = await heldBy(user, projectId)
      if (held.has(permission)) return
      if (projectId !== undefined && held.size === 0) throw new NotFound('There is no such project.')
      throw new Forbidden(`This needs the permission "${permission}".`)
    }
  }
}
