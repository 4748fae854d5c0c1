// Signs users in with a name and a password, and out again; computes how long a session lives.

import { knownForMs, ExpiringCache } from '../../concurrency/expiring-cache.ts'
import { BadRequest, Contact, sql, Unauthorized, ValidationFailed, z } from '../../contract/index.ts'
import type { Access, Clock, NewSession, Origin, Postgres, Transaction } from '../../contract/index.ts'
import { isStorable } from '../../contract/text.ts'
import { nobodyId, recordAudit } from '../audit/audit-log.ts'
import type { RefusalLog } from '../audit/refusal-log.ts'
import { nameKeyOf } from '../common/identifier.ts'
import { addressOf, networkOf, rememberedSince, rememberNetwork } from '../common/network.ts'
import { unstorablePassword, type Passwords } from '../credential/password.ts'
import { createSessionToken, hashOf, maskTokens } from '../credential/token.ts'
import { holdUser } from '../user/user-row.ts'
import { createLookupLimit } from './lookup-limit.ts'
import type { RateLimit, RateLimits } from './rate-limit.ts'

/** A session lives 24 hours at most, and less when it is not used. */
export const sessionLifeMs = 24 * 3_600_000
/** Milliseconds without use after which a session ends by default. */
export const defaultSessionIdleMs = 8 * 3_600_000
/**
 * A session is extended by at least this much, or by a tenth of the idle time when that is less.
 * With the default idle time, using a session therefore writes at most about once a minute.
 */
export const extendEveryMs = 60_000

export const sessionEndMs = ({ createdAtMs, usedAtMs, idleMs }: { createdAtMs: number, usedAtMs: number, idleMs: number }): number =>
  Math.min(createdAtMs + sessionLifeMs, usedAtMs + idleMs)

interface SessionsDeps {
  readonly postgres: Postgres
  readonly clock: Clock
  readonly limits: RateLimits
  readonly sessionIdleMs: number
  readonly passwords: Passwords
  readonly forget: (tokenHash: string) => void
  /** Returns whether it counted a failure with an unknown name. Such a failure gets no row of its own. */
  readonly countFailedLogin: RefusalLog['countFailedLogin']
}

const attemptsMax = 10
const attemptWindowMs = 300_000
const userAgentLengthMax = 500
const strangersMax = 10_000

const UserRow = Contact.extend({ passwordHash: z.string(), isActive: z.boolean(), isKnownThere: z.boolean() })
type UserRow = z.output<typeof UserRow>

export function createSessions ({ postgres, clock, limits, passwords, sessionIdleMs, forget, countFailedLogin }: SessionsDeps): Pick<Access, 'login' | 'logout'> {
  const lookups = createLookupLimit(clock)
  /** Sign-in names with a network from which no user of this name has signed in before. */
  const strangers = new ExpiringCache<true>({ clock, entriesMax: strangersMax })

  async function login ({ name, password }: { name: string, password: string }, origin: Origin): Promise<NewSession> {
    if (!isStorable(password)) throw new ValidationFailed([{ path: 'body.password', message: unstorablePassword }])
    const network = networkOf(origin)
    // This name was unknown in this network a moment ago. If its limit is known to be full, the attempt is refused here,
    // so a flood of such attempts costs no query.
    const stranger = `${hashOf(nameKeyOf(name))} ${network ?? ''}`
    if (strangers.get(stranger) === true) limitsOf(name, network, null).forEach(limits.assertNotKnownFull)
    const askedAtMs = clock.now()
    const user = await lookups.run(() => findUser(name, network))
    if (user?.isKnownThere !== true) strangers.set(stranger, true, { fromMs: askedAtMs, untilMs: askedAtMs + knownForMs })
    // The attempt is counted before the password is checked, so that attempts at the same time count, too.
    // It is taken back when the sign-in succeeds or the password could not be checked.
    const keys: string[] = []
    const attempt = async (): Promise<boolean> => {
      for (const limit of limitsOf(name, network, user)) {
        await limits.take(postgres, limit)
        keys.push(limit.key)
      }
      return passwords.isRight(password, user?.passwordHash, { isKnown: user?.isKnownThere === true })
    }
    const isRight = await attempt().catch(async (error: unknown) => {
      await limits.giveBack(postgres, keys)
      throw error
    })
    if (user === null || !isRight || !user.isActive) {
      await recordFailure(name, user, origin)
      throw new Unauthorized('The name or the password is wrong.')
    }
    strangers.delete(stranger)
    return postgres.transaction(async tx => {
      await limits.giveBack(tx, keys)
      await rememberNetwork(tx, clock, user.id, network)
      return openSession(tx, user, origin)
    })
  }

  // The exact name comes first, because names from earlier versions may differ only in case. A name in another case
  // must match exactly one user. Postgres accepts no NUL character, so no user has a name with one.
  const findUser = async (name: string, network: string | null): Promise<UserRow | null> => name.includes('\0') ? null : postgres.maybeOne(sql.type(UserRow)`
    select
      id, name, display_name as "displayName", email, password_hash as "passwordHash", is_active as "isActive",
      exists (
        select from bulkhead.known_network k where k.user_id = users.id and k.network = ${network} and k.seen_at > ${rememberedSince(clock)}
      ) as "isKnownThere"
    from public.users where id = coalesce(
      (select id from public.users where name = ${name}),
      (
        select (array_agg(u.id))[1] from bulkhead.user_key k join public.users u on u.id = k.user_id and u.name = k.value
        where k.kind = 'name' and k.key = ${nameKeyOf(name)} having count(*) = 1
      )
    )
  `)

  async function recordFailure (name: string, user: UserRow | null, origin: Origin): Promise<void> {
    const reason = user === null ? 'no such user' : user.isActive ? 'wrong password' : 'not active'
    const isCounted = user === null && countFailedLogin(origin)
    if (!isCounted) {
      await recordAudit(postgres, {
        actor: { id: user?.id ?? nobodyId, name }, action: 'auth.login_failed', resource: 'user', resourceId: user?.id ?? null,
        detail: { reason }, origin
      })
    }
    await limits.forgetOld(postgres)
  }

  async function openSession (tx: Transaction, { id: userId, name, displayName, email, passwordHash }: UserRow, origin: Origin): Promise<NewSession> {
    // The user was not locked until here, and may have been deactivated or have another password by now.
    await holdUser(tx, userId, passwordHash)
    const token = createSessionToken()
    const nowMs = clock.now()
    const now = new Date(nowMs).toISOString()
    const endsAt = new Date(sessionEndMs({ createdAtMs: nowMs, usedAtMs: nowMs, idleMs: sessionIdleMs })).toISOString()
    await tx.query(sql.type(z.object({}))`delete from public.auth_sessions where user_id = ${userId} and expires_at <= ${now}`)
    const sessionId = await tx.oneFirst(sql.type(z.object({ id: z.uuid() }))`
      insert into public.auth_sessions (user_id, token_hash, ip_addr, user_agent, expires_at, created_at)
      values (${userId}, ${hashOf(token)}, ${addressOf(origin)}, ${userAgentOf(origin)}, ${endsAt}, ${now})
      returning id
    `)
    await recordAudit(tx, { actor: { id: userId, name }, action: 'auth.login', resource: 'session', resourceId: sessionId, origin })
    return { token, user: { id: userId, name, displayName, email }, expiresAt: new Date(nowMs + sessionLifeMs).toISOString() }
  }

  const logout: Access['logout'] = async (user, origin) => {
    const { signedInBy } = user
    if (signedInBy.kind !== 'session') throw new BadRequest('An API token has no session to end. Revoke it under /api/tokens instead.')
    const tokenHash = await postgres.transaction(async tx => {
      const ended = await tx.maybeOneFirst(sql.type(z.object({ tokenHash: z.string() }))`
        delete from public.auth_sessions where id = ${signedInBy.id} and user_id = ${user.id} returning token_hash as "tokenHash"
      `)
      // If a request at the same time has ended the session already, there is nothing left to do.
      if (ended !== null) await recordAudit(tx, { actor: user, action: 'auth.logout', resource: 'session', resourceId: signedInBy.id, origin })
      return ended
    })
    if (tokenHash !== null) forget(tokenHash)
  }

  return { login, logout }
}

const userAgentOf = ({ userAgent }: Origin): string | null => userAgent === undefined ? null : maskTokens(userAgent).slice(0, userAgentLengthMax)

/**
 * The limit of the address comes first: an attacker who has used it up does not use up the limit of a name, too.
 * In a network from which a user has signed in before, the user has a limit of their own. Attempts of others, elsewhere
 * with this name or in this network with other names, do not count against it and do not lock the user out.
 */
function limitsOf (name: string, network: string | null, user: UserRow | null): RateLimit[] {
  const limit = (key: string): RateLimit =>
    ({ key, max: attemptsMax, windowMs: attemptWindowMs, refusal: 'Too many attempts to sign in. Try again later.' })
  if (user?.isKnownThere === true) return [limit(`login:known:${user.id}:${network ?? ''}`)]
  // The name is hashed, because it may be any text of any length. Its case is ignored, so that its spellings
  // share one count.
  return [...network === null ? [] : [limit(`login:address:${network}`)], limit(`login:name:${hashOf(nameKeyOf(name))}`)]
}
