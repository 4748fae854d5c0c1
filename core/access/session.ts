// Signing in with a name and a password, and out again.

import { BadRequest, sql, Unauthorized, z } from '../contract/index.ts'
import type { Access, Clock, NewSession, Origin, Postgres, Transaction } from '../contract/index.ts'
import { addressOf, nobodyId, recordAudit } from './audit.ts'
import { isPassword } from './password.ts'
import { forgetOldAttempts, giveBackAttempts, takeAttempt, type Limit } from './rate-limit.ts'
import { createSessionToken, hashOf } from './token.ts'

interface Parts {
  readonly postgres: Postgres
  readonly clock: Clock
  readonly forget: (tokenHash: string) => void
}

const lifeMs = 24 * 3_600_000
const attemptsMax = 10
const attemptWindowMs = 300_000
const userAgentLengthMax = 500

const UserRow = z.object({
  id: z.uuid(),
  name: z.string(),
  displayName: z.string().nullable(),
  email: z.string(),
  passwordHash: z.string(),
  isActive: z.boolean()
})
type UserRow = z.output<typeof UserRow>

export function createSessions ({ postgres, clock, forget }: Parts): Pick<Access, 'login' | 'logout'> {
  async function login ({ name, password }: { name: string, password: string }, origin: Origin): Promise<NewSession> {
    const limits = limitsOf(name, origin)
    // Counted before the password is looked at, so that attempts made at the same time count, too; given back unless it was wrong.
    const keys: string[] = []
    const attempt = async (): Promise<Awaited<ReturnType<typeof check>>> => {
      for (const limit of limits) {
        await takeAttempt(postgres, clock, limit)
        keys.push(limit.key)
      }
      return check(name, password)
    }
    const { user, isRight } = await attempt().catch(async (error: unknown) => {
      await giveBackAttempts(postgres, keys)
      throw error
    })
    if (user === null || !isRight || !user.isActive) {
      await recordFailure(name, user, origin)
      throw new Unauthorized('The name or the password is wrong.')
    }
    return postgres.transaction(async tx => {
      await giveBackAttempts(tx, keys)
      return openSession(tx, user, origin)
    })
  }

  async function check (name: string, password: string): Promise<{ user: UserRow | null, isRight: boolean }> {
    // Postgres takes no NUL, so nobody has a name with one.
    const user = name.includes('\0') ? null : await postgres.maybeOne(sql.type(UserRow)`
      select id, name, display_name as "displayName", email, password_hash as "passwordHash", is_active as "isActive"
      from users where name = ${name}
    `)
    return { user, isRight: await isPassword(password, user?.passwordHash) }
  }

  async function recordFailure (name: string, user: UserRow | null, origin: Origin): Promise<void> {
    const reason = user === null ? 'no such user' : user.isActive ? 'wrong password' : 'not active'
    await recordAudit(postgres, {
      actor: { id: user?.id ?? nobodyId, name }, action: 'auth.login_failed', resource: 'user', resourceId: user?.id ?? null,
      detail: { reason }, origin
    })
    await forgetOldAttempts(postgres, clock)
  }

  async function openSession (tx: Transaction, { id: userId, name, displayName, email }: UserRow, origin: Origin): Promise<NewSession> {
    const token = createSessionToken()
    const nowMs = clock.now()
    const expiresAt = new Date(nowMs + lifeMs).toISOString()
    await tx.query(sql.type(z.object({}))`
      delete from auth_sessions where user_id = ${userId} and expires_at <= ${new Date(nowMs).toISOString()}
    `)
    const sessionId = await tx.oneFirst(sql.type(z.object({ id: z.uuid() }))`
      insert into auth_sessions (user_id, token_hash, ip_addr, user_agent, expires_at)
      values (${userId}, ${hashOf(token)}, ${addressOf(origin)}, ${origin.userAgent?.slice(0, userAgentLengthMax) ?? null}, ${expiresAt})
      returning id
    `)
    await recordAudit(tx, { actor: { id: userId, name }, action: 'auth.login', resource: 'session', resourceId: sessionId, origin })
    return { token, user: { id: userId, name, displayName, email }, expiresAt }
  }

  const logout: Access['logout'] = async (user, origin) => {
    const { signedInBy } = user
    if (signedInBy.kind !== 'session') throw new BadRequest('An API token has no session to end. Revoke it under /api/tokens instead.')
    const tokenHash = await postgres.transaction(async tx => {
      const ended = await tx.maybeOneFirst(sql.type(z.object({ tokenHash: z.string() }))`
        delete from auth_sessions where id = ${signedInBy.id} and user_id = ${user.id} returning token_hash as "tokenHash"
      `)
      // Ended already, by a request at the same time: what was asked for is so.
      if (ended !== null) await recordAudit(tx, { actor: user, action: 'auth.logout', resource: 'session', resourceId: signedInBy.id, origin })
      return ended
    })
    if (tokenHash !== null) forget(tokenHash)
  }

  return { login, logout }
}

/** The address comes first: an attacker who has used up theirs does not use up a name's. */
function limitsOf (name: string, origin: Origin): Limit[] {
  const address = addressOf(origin)
  const limit = (key: string): Limit =>
    ({ key, max: attemptsMax, windowMs: attemptWindowMs, refusal: 'Too many attempts to sign in. Try again later.' })
  // Hashed, because a name may be any text of any length.
  return [...address === null ? [] : [limit(`login:address:${address}`)], limit(`login:name:${hashOf(name)}`)]
}
