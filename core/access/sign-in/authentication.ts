// Finds the user behind the token of a request. Answers are cached in the process for at most one second,
// so every replica sees a change within that second.

import { knownForMs, ExpiringCache } from '../../concurrency/expiring-cache.ts'
import { SingleFlight } from '../../concurrency/single-flight.ts'
import { Contact, SessionRecord, sql, TokenRecord, z } from '../../contract/index.ts'
import type { Clock, Postgres, User } from '../../contract/index.ts'
import type { Background } from '../background-work.ts'
import { createCaller } from '../common/caller.ts'
import { PermissionSet } from '../common/permission-set.ts'
import { hashOf, kindOf, type TokenKind } from '../credential/token.ts'
import type { EffectivePermissionFinder, EffectivePermissions } from '../permission/effective-permission.ts'
import { narrow } from '../permission/project-permission.ts'
import { createLookupLimit } from './lookup-limit.ts'
import { extendEveryMs, sessionEndMs } from './session.ts'

export interface Authentication {
  /** Returns undefined when no user is behind the token. The result is not a promise while the answer is cached. */
  readonly authenticate: (token: string) => User | undefined | Promise<User | undefined>
  /** Removes one token (by its hash) or all tokens from the cache. */
  forget (tokenHash?: string): void
}

interface AuthenticationDeps {
  readonly postgres: Postgres
  readonly clock: Clock
  readonly permissions: EffectivePermissionFinder
  readonly sessionIdleMs: number
  readonly background: Background
}

interface Known {
  readonly user: User | undefined
  readonly untilMs: number
}

const usersMax = 10_000
/** Unknown tokens have a cache of their own, so that a flood of invented tokens evicts no user. */
const strangersMax = 10_000
const recentForMs = 3_600_000
const lastUsedEveryMs = 60_000
const tokenLengthMax = 100

export function createAuthentication ({ postgres, clock, permissions, sessionIdleMs, background }: AuthenticationDeps): Authentication {
  const users = new ExpiringCache<User>({ clock, entriesMax: usersMax })
  const strangers = new ExpiringCache<true>({ clock, entriesMax: strangersMax })
  /** Tokens that had a user within the last hour. Their lookups do not wait for those of unknown tokens. */
  const recent = new ExpiringCache<true>({ clock, entriesMax: usersMax })
  const newcomers = createLookupLimit(clock)
  const flights = new SingleFlight<Known>({ clock, joinableForMs: knownForMs })

  function authenticate (token: string): User | undefined | Promise<User | undefined> {
    if (token.length > tokenLengthMax) return undefined
    const tokenHash = hashOf(token)
    const user = users.get(tokenHash)
    if (user !== undefined) return user
    const kind = kindOf(token)
    if (kind === undefined || strangers.get(tokenHash) === true) return undefined
    const look = (): Promise<Known> => find(kind, tokenHash)
    const lookInTurn = recent.get(tokenHash) === true ? look : () => newcomers.run(look)
    return flights.take(tokenHash, lookInTurn, (known, fromMs) => keep(tokenHash, known, fromMs)).then(known => known.user)
  }

  /**
   * Caches an answer. Its time starts before the query does, so that a change after the query's snapshot
   * is seen within a second of the change.
   */
  function keep (tokenHash: string, { user, untilMs }: Known, fromMs: number): void {
    const life = { fromMs, untilMs: Math.min(fromMs + knownForMs, untilMs) }
    if (user === undefined) {
      strangers.set(tokenHash, true, life)
      recent.delete(tokenHash)
    } else {
      users.set(tokenHash, user, life)
      recent.set(tokenHash, true, { fromMs, untilMs: fromMs + recentForMs })
    }
  }

  const find = (kind: TokenKind, tokenHash: string): Promise<Known> =>
    kind === 'session' ? findBySession(tokenHash) : findByToken(tokenHash)

  async function findBySession (tokenHash: string): Promise<Known> {
    const row = await postgres.maybeOne(sql.type(SessionRow)`
      select s.id, s.created_at as "createdAt", s.expires_at as "expiresAt", u.id as "userId", u.name, u.display_name as "displayName", u.email, e.value as epoch
      from public.auth_sessions s join public.users u on u.id = s.user_id cross join bulkhead.access_epoch e
      where s.token_hash = ${tokenHash} and u.is_active and s.expires_at > ${now()}
    `)
    if (row === null) return nobody
    putOffEnd(row)
    const { names, untilMs } = await permissions.find(row.userId, null, row.epoch)
    const signedInBy = { kind: 'session', id: row.id, expiresAt: row.expiresAt } as const
    return { user: createCaller({ ...personOf(row), permissions: names, signedInBy }), untilMs: Math.min(untilMs, Date.parse(row.expiresAt)) }
  }

  async function findByToken (tokenHash: string): Promise<Known> {
    const row = await postgres.maybeOne(sql.type(TokenRow)`
      select
        t.id, t.scopes, t.project_id as "projectId", t.expires_at as "expiresAt", t.last_used_at as "lastUsedAt",
        u.id as "userId", u.name, u.display_name as "displayName", u.email, e.value as epoch
      from public.api_tokens t join public.users u on u.id = t.user_id cross join bulkhead.access_epoch e
      where t.token_hash = ${tokenHash} and u.is_active and (t.expires_at is null or t.expires_at > ${now()})
    `)
    if (row === null) return nobody
    noteUse(row)
    const { id, scopes, projectId, expiresAt } = row
    // A token that is bound to a project may do nothing outside it.
    const { names, untilMs } = projectId === null ? await permissions.find(row.userId, null, row.epoch) : nothing
    const signedInBy = { kind: 'token', id, scopes, projectId, expiresAt } as const
    return {
      user: createCaller({ ...personOf(row), permissions: narrow(names, signedInBy), signedInBy }),
      untilMs: expiresAt === null ? untilMs : Math.min(untilMs, Date.parse(expiresAt))
    }
  }

  /** Extends a session that is used, up to `sessionLifeMs` after its creation. A session that ended meanwhile stays ended. */
  function putOffEnd ({ id, createdAt, expiresAt }: z.output<typeof SessionRow>): void {
    const endMs = sessionEndMs({ createdAtMs: Date.parse(createdAt), usedAtMs: clock.now(), idleMs: sessionIdleMs })
    if (endMs < Date.parse(expiresAt) + Math.min(extendEveryMs, sessionIdleMs / 10)) return
    const end = new Date(endMs).toISOString()
    background.run('the expiry of a session could not be extended; the next use tries again', () => postgres.query(sql.type(z.object({}))`
      update public.auth_sessions set expires_at = ${end} where id = ${id} and expires_at > ${now()} and expires_at < ${end}
    `))
  }

  /** Records the last use of a token, at most once a minute for each token, however many replicas see it. */
  function noteUse ({ id, lastUsedAt }: z.output<typeof TokenRow>): void {
    const staleMs = clock.now() - lastUsedEveryMs
    if (lastUsedAt !== null && Date.parse(lastUsedAt) > staleMs) return
    background.run('the last use of a token could not be recorded; the next use tries again', () => postgres.query(sql.type(z.object({}))`
      update public.api_tokens set last_used_at = ${now()}
      where id = ${id} and (last_used_at is null or last_used_at <= ${new Date(staleMs).toISOString()})
    `))
  }

  const now = (): string => new Date(clock.now()).toISOString()

  return {
    authenticate,
    forget (tokenHash) {
      if (tokenHash === undefined) {
        users.clear()
        strangers.clear()
        flights.forgetAll()
      } else {
        users.delete(tokenHash)
        strangers.delete(tokenHash)
        flights.forget(tokenHash)
      }
    }
  }
}

const nothing: EffectivePermissions = { names: new PermissionSet(), untilMs: Infinity }
const nobody: Known = { user: undefined, untilMs: Infinity }

const PersonRow = Contact.omit({ id: true }).extend({ userId: z.uuid(), epoch: z.int() })
const SessionRow = PersonRow.extend(SessionRecord.pick({ id: true, createdAt: true, expiresAt: true }).shape)
const TokenRow = PersonRow.extend(TokenRecord.omit({ name: true, createdAt: true }).shape)

const personOf = ({ userId, name, displayName, email }: z.output<typeof PersonRow>): Omit<User, 'permissions' | 'signedInBy'> =>
  ({ id: userId, name, displayName, email })
