// Builds the access module: authentication, permissions and the resource `access`. It also exchanges news of changes
// with the other replicas, so that their cached answers stay fresh.

import { z } from '../contract/index.ts'
import type { Access, Clock, Log, Postgres, User, Valkey } from '../contract/index.ts'
import { createAudit } from './audit/audit-query.ts'
import { createRefusalLog, type RefusalFacts } from './audit/refusal-log.ts'
import { Background } from './background-work.ts'
import { createPasswords, type Passwords } from './credential/password.ts'
import { createAssignments } from './permission/assignment.ts'
import { createAuthorization } from './permission/authorization.ts'
import { createDelegations } from './permission/delegation.ts'
import { createEffectivePermissionFinder } from './permission/effective-permission.ts'
import { createChangeAccess } from './permission/permission-epoch.ts'
import { corePermissions, type DeclaredPermission } from './permission/permission.ts'
import { createPermittedProjects } from './permission/permitted-projects.ts'
import { createProjectPermissions } from './permission/project-permission.ts'
import { createRoles } from './permission/role.ts'
import { createPluginAccess, type SharedAccess } from './plugin-access.ts'
import { createApiTokens } from './sign-in/api-token.ts'
import { createAuthentication } from './sign-in/authentication.ts'
import { createIsSignedIn } from './sign-in/is-signed-in.ts'
import { createOwnSessions } from './sign-in/own-session.ts'
import { createRateLimits } from './sign-in/rate-limit.ts'
import { createSessions, defaultSessionIdleMs } from './sign-in/session.ts'
import { createUserDirectory } from './user/user-directory.ts'
import { createUsers } from './user/user.ts'

export interface AccessModule {
  /**
   * Returns the user behind the token, or undefined when there is none.
   * The result is not a promise while the answer is cached, which is for at most one second.
   */
  authenticate (token: string): User | undefined | Promise<User | undefined>
  /** The host's own handle. */
  readonly access: Access
  /** The handle of a plugin: the entries that it writes to the audit log name the plugin. */
  accessFor (plugin: string): Access
  /**
   * Returns what the caller may do in the project, narrowed to what the caller's token may do.
   * A token that is bound to another project may do nothing.
   * The result is not a promise while the answer is cached, which is for at most one second.
   */
  permissionsIn (user: User, projectId: string): ReadonlySet<string> | Promise<ReadonlySet<string>>
  /**
   * Writes a refused request to the audit log, in the background.
   * Refusals of unknown callers are counted, and the counts are written once a minute.
   */
  noteRefused (user: User | undefined, facts: RefusalFacts): void
  /** Returns the permissions that the database has now; without `projectId`, those outside any project. */
  permissionsOf (userId: string, projectId: string | undefined): Promise<ReadonlySet<string>>
  /**
   * Makes every replica read the database again at once, for one token (by its hash) or for all.
   * Without this call, the replicas do so within a second.
   */
  forget (tokenHash?: string): void
  /** Records which plugin contributes which permission, for lists. It adds to earlier declarations. */
  declare (permissions: readonly DeclaredPermission[]): void
  close (): Promise<void>
}

export interface AccessParts {
  readonly postgres: Postgres
  /** A client that adds no prefix to keys and channels: the keys `perms:…` and the channel `access` belong to the host. */
  readonly valkey: Valkey
  readonly log: Log
  readonly clock: Clock
  /** Milliseconds without use after which a session ends; 8 hours by default. */
  readonly sessionIdleMs?: number
  /** Hashes passwords; by default, at the cost that hosts use. */
  readonly passwords?: Passwords
  /** Returns the id of the user whose request the running code serves; undefined outside a request. */
  readonly findCallerId?: () => string | undefined
}

const channel = 'access'
const News = z.strictObject({ forget: z.union([z.string(), z.literal(true)]) })

/** Resolves once this replica receives the news of the other replicas. */
export async function createAccess (
  { postgres, valkey, log, clock, sessionIdleMs = defaultSessionIdleMs, passwords = createPasswords(clock), findCallerId }: AccessParts
): Promise<AccessModule> {
  const background = new Background(log)
  const permissions = createEffectivePermissionFinder({ postgres, valkey, log, clock, background })
  const authentication = createAuthentication({ postgres, clock, permissions, sessionIdleMs, background })
  const inProjects = createProjectPermissions({ postgres, clock, permissions })
  const refusals = createRefusalLog({ postgres, log, clock, background })

  const forgetHere = (tokenHash?: string): void => {
    authentication.forget(tokenHash)
    if (tokenHash === undefined) inProjects.forget()
  }
  const forget = (tokenHash?: string): void => {
    forgetHere(tokenHash)
    const news: z.input<typeof News> = { forget: tokenHash ?? true }
    background.run('the other replicas could not be notified of a change; they see it within a second', () => valkey.publish(channel, news))
  }
  const leave = await valkey.subscribe(channel, News, news => forgetHere(news.forget === true ? undefined : news.forget))

  const contributors = new Map(corePermissions.map(({ name }) => [name, 'host']))
  const limits = createRateLimits({ clock })
  const decisions = createAuthorization({ postgres, permissions, inProjects })
  const changeAccess = createChangeAccess({ postgres, forget })
  const roleParts = { postgres, clock, decisions, changeAccess, contributorOf: (name: string) => contributors.get(name) ?? null }

  const shared: SharedAccess = {
    can: decisions.can,
    require: decisions.require,
    permissionsOf: decisions.heldBy,
    projectsWith: createPermittedProjects({ postgres, clock }),
    ...createUserDirectory(postgres),
    audit: createAudit({ postgres, decisions }),
    sessions: createOwnSessions({ postgres, clock, forget }),
    users: createUsers({ postgres, clock, passwords, limits, decisions, changeAccess, forget }),
    roles: { ...createRoles(roleParts), ...createAssignments(roleParts) },
    delegations: createDelegations({ postgres, clock, limits, decisions, changeAccess }),
    isSignedIn: createIsSignedIn({ postgres, clock }),
    ...createSessions({ postgres, clock, limits, passwords, sessionIdleMs, forget, countFailedLogin: refusals.countFailedLogin }),
    ...createApiTokens({ postgres, clock, limits, forget })
  }
  const permissionsOf: AccessModule['permissionsOf'] = (userId, projectId) => decisions.permissionsOf(userId, projectId ?? null)
  const accessFor = (plugin?: string): Access => createPluginAccess({
    access: shared, log, findCallerId, permissionsOf: userId => permissionsOf(userId, undefined)
  }, plugin)

  return {
    authenticate: authentication.authenticate,
    access: accessFor(),
    accessFor,
    permissionsIn: inProjects.find,
    noteRefused: refusals.note,
    permissionsOf,
    forget,
    declare (permissions) {
      for (const { name, plugin } of permissions) if (plugin !== undefined) contributors.set(name, plugin)
    },
    async close () {
      await leave()
      refusals.close()
      await background.settled()
    }
  }
}
