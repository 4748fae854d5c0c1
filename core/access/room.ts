// Puts the room together: authentication, permissions and the resource `access`, and the news between replicas that keeps them fresh.

import { sql, z } from '../contract/index.ts'
import type { Access, Clock, Log, Postgres, User, Valkey } from '../contract/index.ts'
import { createApiTokens } from './api-token.ts'
import { createAuthentication } from './authentication.ts'
import { Background } from './background.ts'
import { createEffectivePermissionFinder } from './effective-permission.ts'
import { createProjectPermissions } from './project-permission.ts'
import { createRefusalLog, type RefusalFacts } from './refusal-log.ts'
import { createSessions } from './session.ts'

export interface AccessRoom {
  /** Undefined when nobody is behind the token. Not a promise when the answer is known, as it is for a second after it was found. */
  authenticate (token: string): User | undefined | Promise<User | undefined>
  readonly access: Access
  /**
   * What the caller may do in the project, narrowed to what their token may: nothing, for a token bound to another project.
   * Not a promise when the answer is known, as it is for a second after it was found.
   */
  permissionsIn (user: User, projectId: string): ReadonlySet<string> | Promise<ReadonlySet<string>>
  /** Writes a refused request to the audit log, in the background. */
  noteRefused (user: User | undefined, facts: RefusalFacts): void
  /** Always as the database has it now; in no project when `projectId` is undefined. */
  permissionsOf (userId: string, projectId: string | undefined): Promise<ReadonlySet<string>>
  /** Makes every replica ask the database again at once, for one token by its hash or for all; without it they do within a second. */
  forget (tokenHash?: string): void
  close (): Promise<void>
}

export interface AccessParts {
  readonly postgres: Postgres
  /** With keys and channels as they are: `perms:…` and `access` are the host's. */
  readonly valkey: Valkey
  readonly log: Log
  readonly clock: Clock
}

const channel = 'access'
const News = z.strictObject({ forget: z.union([z.string(), z.literal(true)]) })

/** Resolves once the room hears the news of the others. */
export async function createAccess ({ postgres, valkey, log, clock }: AccessParts): Promise<AccessRoom> {
  const background = new Background(log)
  const permissions = createEffectivePermissionFinder({ postgres, valkey, log, clock, background })
  const authentication = createAuthentication({ postgres, clock, permissions, background })

  const inProjects = createProjectPermissions({ postgres, clock, permissions })
  const refusals = createRefusalLog({ postgres, log, clock, background })

  const forgetHere = (tokenHash?: string): void => {
    authentication.forget(tokenHash)
    if (tokenHash === undefined) inProjects.forget()
  }
  const forget = (tokenHash?: string): void => {
    forgetHere(tokenHash)
    const news: z.input<typeof News> = { forget: tokenHash ?? true }
    background.run('the other replicas were not told of a change; they see it within a second', () => valkey.publish(channel, news))
  }
  const leave = await valkey.subscribe(channel, News, news => forgetHere(news.forget === true ? undefined : news.forget))

  return {
    authenticate: authentication.authenticate,
    access: { ...createSessions({ postgres, clock, forget }), ...createApiTokens({ postgres, clock, forget }) },
    permissionsIn: inProjects.find,
    noteRefused: refusals.note,
    async permissionsOf (userId, projectId) {
      const epoch = await postgres.oneFirst(sql.type(z.object({ epoch: z.int() }))`select value as epoch from bulkhead.access_epoch`)
      return (await permissions.find(userId, projectId ?? null, epoch)).names
    },
    forget,
    async close () {
      await leave()
      await background.settled()
    }
  }
}
