// Decides for every route whether the caller may call it, after the match and before anything that the route declares
// runs.

import { Forbidden, NotFound, Unauthorized, ValidationFailed } from '../contract/index.ts'
import type { RouteOptions, User } from '../contract/index.ts'
import { isPromise } from './answer/result.ts'
import type { Exchange } from './exchange.ts'
import { projectIdOf } from './request/project-source.ts'
import { isForgeable, originOf, ownOriginOf, type OriginRules } from './request/request-origin.ts'
import type { Route } from './route/prepared-route.ts'

type Admitted = User | undefined
type Guarded = Exclude<RouteOptions, { public: string }>

/** Returns the user's permissions in the project, limited to those of the token. The guard waits only for a promise. */
export type PermissionsIn = (user: User, projectId: string) => ReadonlySet<string> | Promise<ReadonlySet<string>>

/** Returns the user that the handler sees. Throws, or rejects with, the error that refuses the caller. */
export type Guard = (exchange: Exchange, route: Route, params: Record<string, string>, caller: User | undefined) => Admitted | Promise<Admitted>

export interface GuardParts {
  permissionsIn: PermissionsIn
  originRules: OriginRules
}

export function createGuard ({ permissionsIn, originRules }: GuardParts): Guard {
  const guard: Guard = (exchange, route, params, caller) => {
    const { req } = exchange
    const origin = isForgeable(req) ? originOf(req, originRules) : 'own'
    const { options } = route.record
    if (options.public !== undefined) {
      if (origin === 'foreign') throw forged(exchange)
      // On a public route two callers are treated as anonymous, not refused: one whose token is bound to a project, and
      // one whose client asks for a change with the session cookie and does not say which page made the request.
      return origin === 'unknown' || boundProjectOf(caller) !== null ? undefined : caller
    }
    if (caller === undefined) throw new Unauthorized('Sign in, or send a valid token.')
    if (origin !== 'own') throw forged(exchange)

    const project = route.findProject?.(exchange, params)
    return isPromise(project)
      ? project.then(found => admit(exchange, options, caller, found))
      : admit(exchange, options, caller, project)
  }

  const forged = ({ req }: Exchange): Forbidden => new Forbidden(
    `A change asked for with the session cookie must come from a page of this origin, ${ownOriginOf(req, originRules) ?? 'which the request does not name'}, or of one ` +
    'that PLATFORM_CORS_ORIGINS names. Send Origin, or use a token.')

  const admit = (exchange: Exchange, options: Guarded, caller: User, project: unknown): Admitted | Promise<Admitted> => {
    const projectId = projectIdOf(project)
    exchange.projectId = projectId
    // The handler narrows its answer itself for a token that is bound to a project.
    if (options.project === 'narrowed') return caller
    const bound = boundProjectOf(caller)
    if (bound !== null && bound !== projectId) throw new NotFound('There is nothing here for a token that is bound to a project.')
    if (options.signedIn !== undefined) return caller
    if (options.project === undefined) {
      demand(options.permission, caller.permissions)
      return caller
    }
    if (project === undefined) throw new ValidationFailed([{ path: options.project, message: 'Name a project by its id.' }])
    if (projectId === undefined) throw new NotFound(noProject)
    const held = permissionsIn(caller, projectId)
    const decide = (names: ReadonlySet<string>): User => {
      // A caller without any permission in a project does not learn whether the project exists.
      if (names.size === 0) throw new NotFound(noProject)
      demand(options.permission, names)
      return caller
    }
    return isPromise(held) ? held.then(decide) : decide(held)
  }

  return guard
}

const noProject = 'There is no such project.'

function demand (permission: string, held: ReadonlySet<string>): void {
  if (!held.has(permission)) throw new Forbidden(`This needs the permission "${permission}".`)
}

const boundProjectOf = (caller: User | undefined): string | null => caller?.signedInBy.kind === 'token' ? caller.signedInBy.projectId : null
