// Who may do what in a project: what access says of roles and delegations, and what follows from owning a project or from its visibility.

import { Forbidden, NotFound, sql } from 'bulkhead'
import type { Access, Postgres, User } from 'bulkhead'
import { projectColumns, Project } from './project.ts'
import { isInScope, isWithin, type Subject } from './token.ts'

/** What a user may do in one project, a token's limits included. */
export interface Standing {
  readonly project: Project
  readonly held: ReadonlySet<string>
  can (permission: string): boolean
  /** `Forbidden` without it. */
  need (permission: string): void
}

export interface Standings {
  /** Undefined when there is no such project for the user, who may also be given by id. */
  find (user: Subject, projectId: string): Promise<Standing | undefined>
  /** `NotFound` when there is no such project for the user. */
  know (user: Subject, projectId: string): Promise<Standing>
  /** And `Forbidden` without the permission. */
  require (user: Subject, projectId: string, permission: string): Promise<Standing>
}

/** Whoever holds one of these in a project knows that it is there. */
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

  /** The caller of a request is known to be active; of any other user that has to be asked. */
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

/** Owning it gives all three; that others may see it gives the first. */
const rightsOf = ({ ownerId, visibility }: Project, userId: string): readonly string[] =>
  ownerId === userId ? ofProjects : visibility === 'private' ? [] : ['project:read']

/** Whoever may not write here may still change what is their own: `Forbidden` otherwise. */
export function needAuthorOrWrite ({ can }: Standing, user: User, authorId: string): void {
  if (can('project:write') || (authorId === user.id && isInScope(user, 'project:write'))) return
  throw new Forbidden('This needs the permission "project:write" in the project, or to be its author.')
}
