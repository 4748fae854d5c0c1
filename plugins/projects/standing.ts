// Computes what a user may do in a project. It combines roles and delegations from `access` with the rights that follow
// from owning a project or from its visibility.

import { Forbidden, NotFound, sql } from 'bulkhead'
import type { Access, Postgres, User } from 'bulkhead'
import { projectColumns, Project } from './project.ts'
import { isInScope, isWithin, type Subject } from './token.ts'

/** The rights of a user in one project, with a token's limits applied. */
export interface Standing {
  readonly project: Project
  readonly held: ReadonlySet<string>
  can (permission: string): boolean
  /** Throws `Forbidden` when the permission is missing. */
  need (permission: string): void
}

export interface Standings {
  /**
   * Resolves with the user's standing, or with undefined when there is no such project for the user. The user may also
   * be given by id.
   */
  find (user: Subject, projectId: string): Promise<Standing | undefined>
  /** Like `find`; rejects with `NotFound` when there is no such project for the user. */
  know (user: Subject, projectId: string): Promise<Standing>
  /** Like `know`; rejects with `Forbidden` when the permission is missing. */
  require (user: Subject, projectId: string, permission: string): Promise<Standing>
}

/** A user who holds one of these permissions in a project may know that the project exists. */
const ofProjects = ['project:read', 'project:write', 'project:delete'] as const

export function createStandings ({ postgres, access }: { postgres: Postgres, access: Access }): Standings {
  const find: Standings['find'] = async (user, projectId) => {
    const project = await postgres.maybeOne(sql.type(Project)`select ${projectColumns} from projects where id = ${projectId} and is_active`)
    if (project === null) return undefined
    const byRole = await access.permissionsOf(user, project.id)
    const byItself = isWithin(user, project.id) && await mayAct(user) ? rightsOf(project, idOf(user)) : []
    const held = new Set([...byRole, ...byItself.filter(permission => isInScope(user, permission))])
    if (!ofProjects.some(permission => held.has(permission))) return undefined
    return {
      project,
      held,
      can: permission => held.has(permission),
      need (permission) {
        if (!held.has(permission)) throw new Forbidden(`This needs the permission "${permission}" in the project.`)
      }
    }
  }

  /**
   * Tells whether the user is active. The caller of a request is known to be active; for any other user it asks
   * `access`.
   */
  const mayAct = async (user: Subject): Promise<boolean> =>
    (typeof user !== 'string' && 'signedInBy' in user) || (await access.people([idOf(user)])).get(idOf(user))?.isActive === true

  const know: Standings['know'] = async (user, projectId) => {
    const standing = await find(user, projectId)
    if (standing === undefined) throw new NotFound('There is no such project.')
    return standing
  }

  return {
    find,
    know,
    async require (user, projectId, permission) {
      const standing = await know(user, projectId)
      standing.need(permission)
      return standing
    }
  }
}

const idOf = (user: Subject): string => typeof user === 'string' ? user : user.id

/** The owner gets all three permissions. A visible project gives the first one to all other users. */
const rightsOf = ({ ownerId, visibility }: Project, userId: string): readonly string[] =>
  ownerId === userId ? ofProjects : visibility === 'private' ? [] : ['project:read']

/**
 * Throws `Forbidden` unless the user may write in the project or is the author. Authors may change their own things
 * without the permission to write.
 */
export function needAuthorOrWrite ({ can }: Standing, user: User, authorId: string): void {
  if (can('project:write') || (authorId === user.id && isInScope(user, 'project:write'))) return
  throw new Forbidden('This needs the permission "project:write" in the project, or to be its author.')
}
