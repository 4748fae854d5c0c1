// Finds what a caller may do in a project or outside any, narrowed to what the caller's token may do.
// Answers are cached for at most one second.

import { knownForMs, ExpiringCache } from '../../concurrency/expiring-cache.ts'
import { SingleFlight } from '../../concurrency/single-flight.ts'
import { sql, z } from '../../contract/index.ts'
import type { Clock, Postgres, User } from '../../contract/index.ts'
import { uuidForm } from '../common/identifier.ts'
import { PermissionSet } from '../common/permission-set.ts'
import type { EffectivePermissionFinder, EffectivePermissions } from './effective-permission.ts'

export interface ProjectPermissions {
  /**
   * Returns the permissions in the project, or those outside any project when `projectId` is null.
   * The result is not a promise while the answer is cached.
   */
  find (user: User, projectId: string | null): ReadonlySet<string> | Promise<ReadonlySet<string>>
  forget (): void
}

interface ProjectPermissionsDeps {
  readonly postgres: Postgres
  readonly clock: Clock
  readonly permissions: EffectivePermissionFinder
}

const entriesMax = 20_000
const nothing: ReadonlySet<string> = new PermissionSet()

export function createProjectPermissions ({ postgres, clock, permissions }: ProjectPermissionsDeps): ProjectPermissions {
  const known = new ExpiringCache<ReadonlySet<string>>({ clock, entriesMax })
  const flights = new SingleFlight<EffectivePermissions>({ clock, joinableForMs: knownForMs })

  function find (user: User, projectId: string | null): ReadonlySet<string> | Promise<ReadonlySet<string>> {
    const project = projectId?.toLowerCase() ?? null
    const { signedInBy } = user
    if (signedInBy.kind === 'token' && signedInBy.projectId !== null && signedInBy.projectId !== project) return nothing
    // No project has such an id, so the permissions outside any project apply.
    if (project !== null && !uuidForm.test(project)) return find(user, null)
    const key = `${signedInBy.id} ${project ?? ''}`
    return known.get(key) ?? flights.take(key, () => ask(user, project), (found, fromMs) => {
      known.set(key, found.names, { fromMs, untilMs: Math.min(fromMs + knownForMs, found.untilMs) })
    }).then(({ names }) => names)
  }

  async function ask (user: User, projectId: string | null): Promise<EffectivePermissions> {
    const epoch = await postgres.oneFirst(sql.type(z.object({ epoch: z.int() }))`select value as epoch from bulkhead.access_epoch`)
    const { names, untilMs } = await permissions.find(user.id, projectId, epoch)
    return { names: narrow(names, user.signedInBy), untilMs }
  }

  return {
    find,
    forget () {
      known.clear()
      flights.forgetAll()
    }
  }
}

/** A token's scopes only take permissions away. A token without scopes may do what its user may do. */
export const narrow = (names: ReadonlySet<string>, signedInBy: User['signedInBy']): ReadonlySet<string> =>
  signedInBy.kind === 'session' || signedInBy.scopes.length === 0 ? names : new PermissionSet(signedInBy.scopes.filter(scope => names.has(scope)))
