// Changes users: users change themselves, and administrators change others.

import { Forbidden, sql, UserRecord, ValidationFailed, z } from '../../contract/index.ts'
import type { Clock, Origin, Postgres, Transaction, User, UserChange, Users } from '../../contract/index.ts'
import { recordAudit } from '../audit/audit-log.ts'
import type { Passwords } from '../credential/password.ts'
import { assertMayTakeOver, isNarrowed } from '../permission/authority.ts'
import type { Authorization } from '../permission/authorization.ts'
import { endLoansOf } from '../permission/loan.ts'
import { holdAccess, type ChangeAccess } from '../permission/permission-epoch.ts'
import type { RateLimit, RateLimits } from '../sign-in/rate-limit.ts'
import { endSessionsOf, revokeTokensOf } from './new-password.ts'
import { assertFree, moveUserKeys } from './user-key.ts'
import { assertForms, refuseUnknown, shutOut } from './user-row.ts'

export interface UserParts {
  readonly postgres: Postgres
  readonly clock: Clock
  readonly passwords: Passwords
  readonly limits: RateLimits
  readonly decisions: Authorization
  readonly changeAccess: ChangeAccess
  readonly forget: () => void
}

interface Writing {
  readonly actor: User
  readonly id: string
  readonly wanted: UserChange
  readonly passwordHash: string | null
  readonly origin: Origin
}

export function createUserChange ({ postgres, clock, passwords, limits, decisions, changeAccess, forget }: UserParts): Users['change'] {
  const change: Users['change'] = async (actor, id, wanted, origin) => {
    await assertMayChange(actor, id, wanted)
    assertForms(wanted)
    if (wanted.revokeTokens === true && wanted.password === undefined) {
      throw new ValidationFailed([{ path: 'body.revokeTokens', message: 'It goes with a new password; DELETE /api/tokens revokes all tokens without one.' }])
    }
    const now = new Date(clock.now()).toISOString()
    const takesOver = isTakeOver(actor, id, wanted)
    // This check also runs before the transaction, so that a refused caller costs no hash and none of the user's attempts.
    if (takesOver) await assertMayTakeOver(postgres, actor, id, now)
    const passwordHash = wanted.password === undefined ? null : await newPasswordOf(actor, id, wanted)
    const work = async (tx: Transaction): Promise<UserRecord> => {
      if (takesOver) await assertMayTakeOver(tx, actor, id, now)
      const user = await write(tx, { actor, id, wanted, passwordHash, origin })
      if (passwordHash !== null) await endSessionsOf(tx, actor, id, actor.id === id && actor.signedInBy.kind === 'session' ? actor.signedInBy.id : null, origin)
      if (wanted.revokeTokens === true) await revokeTokensOf(tx, actor, id, origin)
      if (wanted.isActive === false) await shutOut(tx, actor, id, origin)
      return user
    }
    // Only a change of `isActive` changes what users may do. A new name, for example, voids no computed permissions,
    // and every replica sees it within a second, like any change.
    if (wanted.isActive !== undefined) return changeAccess(work)
    const user = await postgres.transaction(async tx => {
      if (takesOver) await holdAccess(tx)
      return work(tx)
    })
    if (passwordHash !== null) forget()
    return user
  }

  async function assertMayChange (actor: User, id: string, { isActive }: UserChange): Promise<void> {
    if (actor.id !== id || isActive !== undefined) return decisions.require(actor, 'admin:users')
    if (isNarrowed(actor) && !await decisions.can(actor, 'admin:users')) {
      throw new Forbidden('A token with scopes cannot change its user. Sign in, or use a token without scopes.')
    }
  }

  /**
   * Returns the hash of the new password. Callers who change their own password must give the current one.
   * The password of another user is set without it.
   */
  async function newPasswordOf (actor: User, id: string, { password = '', currentPassword }: UserChange): Promise<string> {
    if (actor.id === id) {
      if (currentPassword === undefined) throw new ValidationFailed([{ path: 'body.currentPassword', message: 'Send the current password, too.' }])
      await limits.take(postgres, passwordLimitOf(id))
      const stored = await postgres.oneFirst(sql.type(z.object({ hash: z.string() }))`select password_hash as hash from public.users where id = ${id}`)
      if (!await passwords.isRight(currentPassword, stored)) throw new Forbidden('The current password is not the right one.')
    } else {
      await limits.take(postgres, passwordLimitOf(id))
    }
    return passwords.hash(password)
  }

  async function write (tx: Transaction, { actor, id, wanted, passwordHash, origin }: Writing): Promise<UserRecord> {
    const { name = null, email = null, displayName, isActive = null } = wanted
    const before = await tx.maybeOne(sql.type(UserRecord)`
      select id, name, display_name as "displayName", email, is_active as "isActive", created_at as "createdAt", updated_at as "updatedAt"
      from public.users where id = ${id} for update
    `)
    if (before === null) return refuseUnknown()
    await assertFree(tx, { name: name === before.name ? null : name, email: email === before.email ? null : email }, id)
    const after = await tx.one(sql.type(UserRecord)`
      update public.users set
        name = coalesce(${name}, name), email = coalesce(${email}, email), is_active = coalesce(${isActive}, is_active),
        display_name = case when ${displayName !== undefined} then ${displayName ?? null} else display_name end,
        password_hash = coalesce(${passwordHash}, password_hash)
      where id = ${id}
      returning id, name, display_name as "displayName", email, is_active as "isActive", created_at as "createdAt", updated_at as "updatedAt"
    `)
    await moveUserKeys(tx, before, after)
    const changed = (['name', 'displayName', 'email'] as const).filter(field => before[field] !== after[field])
    const record = (action: string, detail?: Record<string, unknown>): Promise<void> =>
      recordAudit(tx, { actor, action, resource: 'user', resourceId: id, ...detail && { detail }, origin })
    if (changed.length > 0) {
      await record('user.change', Object.fromEntries(changed.map(field => [field, { from: before[field], to: after[field] }])))
    }
    if (passwordHash !== null) await record('user.password')
    if (after.isActive && !before.isActive) {
      await record('user.activate')
      // Granted delegations may be left, when a replica of an earlier version or an operator deactivated the user.
      await endLoansOf(tx, actor, id, origin)
    }
    return after
  }

  return change
}

/** Returns whether the change could take over an account. A narrowed token that changes its own user counts as another user. */
const isTakeOver = (actor: User, id: string, { email, password, isActive }: UserChange): boolean =>
  (actor.id !== id || isNarrowed(actor)) && (email !== undefined || password !== undefined || isActive !== undefined)

const passwordLimitOf = (id: string): RateLimit => ({
  key: `password:${id}`, max: 5, windowMs: 3_600_000, refusal: 'This password was to be changed 5 times within an hour. Try again later.'
})
