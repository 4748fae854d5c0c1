// What users change of themselves, and administrators of others.

import { Forbidden, sql, ValidationFailed, z } from '../contract/index.ts'
import type { Clock, Origin, Postgres, Transaction, User, UserChange, UserRecord, Users } from '../contract/index.ts'
import { recordAudit } from './audit.ts'
import type { ChangeAccess } from './change.ts'
import type { Decisions } from './decision.ts'
import { counts } from './held.ts'
import { hashPassword, isPassword } from './password.ts'
import type { Limit, RateLimits } from './rate-limit.ts'
import { assertForms, assertFree, refuseUnknown, shutOut, UserRow } from './user-row.ts'

export interface UserParts {
  readonly postgres: Postgres
  readonly clock: Clock
  readonly limits: RateLimits
  readonly decisions: Decisions
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

export function createUserChange ({ postgres, clock, limits, decisions, changeAccess, forget }: UserParts): Users['change'] {
  const change: Users['change'] = async (actor, id, wanted, origin) => {
    await assertMayChange(actor, id, wanted)
    assertForms(wanted)
    const passwordHash = wanted.password === undefined ? null : await newPasswordOf(actor, id, wanted)
    const work = async (tx: Transaction): Promise<UserRecord> => {
      const user = await write(tx, { actor, id, wanted, passwordHash, origin })
      if (passwordHash !== null) await endOtherSessions(tx, actor, id, origin)
      if (wanted.isActive === false) await shutOut(tx, actor, id, origin)
      return user
    }
    // What a user is called changes nothing that anyone may do: it voids nothing, and is seen within the second that all is.
    if (wanted.isActive !== undefined) return changeAccess(work)
    const user = await postgres.transaction(work)
    if (passwordHash !== null) forget()
    return user
  }

  async function assertMayChange (actor: User, id: string, { isActive }: UserChange): Promise<void> {
    if (actor.id !== id || isActive !== undefined) return decisions.require(actor, 'admin:users')
    const { signedInBy } = actor
    const isNarrow = signedInBy.kind === 'token' && signedInBy.scopes.length > 0
    if (isNarrow && !await decisions.can(actor, 'admin:users')) {
      throw new Forbidden('A token with scopes changes nothing about its user. Sign in, or use a token without scopes.')
    }
  }

  /** Callers show that they know their own; that of another is set without it, but nobody gets at more than they have by setting one. */
  async function newPasswordOf (actor: User, id: string, { password = '', currentPassword }: UserChange): Promise<string> {
    if (actor.id === id) {
      if (currentPassword === undefined) throw new ValidationFailed([{ path: 'body.currentPassword', message: 'Give the current password, too.' }])
      await limits.take(postgres, passwordLimitOf(id))
      const stored = await postgres.oneFirst(sql.type(z.object({ hash: z.string() }))`select password_hash as hash from public.users where id = ${id}`)
      if (!await isPassword(currentPassword, stored)) throw new Forbidden('The current password is not the right one.')
    } else {
      for (const name of await administrationOf(id)) await decisions.require(actor, name)
      await limits.take(postgres, passwordLimitOf(id))
    }
    return hashPassword(password)
  }

  /** What the user holds of it anywhere, or would hold if they were active: who is not may be again. */
  const administrationOf = (id: string): Promise<readonly string[]> => postgres.anyFirst(sql.type(z.object({ name: z.string() }))`
    select p.name from public.permissions p
    where p.resource = 'admin' and (
      exists (select from public.user_roles ur join public.role_permissions rp on rp.role_id = ur.role_id where ur.user_id = ${id} and rp.permission_id = p.id)
      or exists (select from public.delegations d where d.delegate_id = ${id} and d.permission_id = p.id and ${counts(new Date(clock.now()).toISOString())})
    )
  `)

  async function write (tx: Transaction, { actor, id, wanted, passwordHash, origin }: Writing): Promise<UserRecord> {
    const { name = null, email = null, displayName, isActive = null } = wanted
    const before = await tx.maybeOne(sql.type(UserRow)`
      select id, name, display_name as "displayName", email, is_active as "isActive", created_at as "createdAt", updated_at as "updatedAt"
      from public.users where id = ${id} for update
    `)
    if (before === null) return refuseUnknown()
    await assertFree(tx, { name, email }, id)
    const after = await tx.one(sql.type(UserRow)`
      update public.users set
        name = coalesce(${name}, name), email = coalesce(${email}, email), is_active = coalesce(${isActive}, is_active),
        display_name = case when ${displayName !== undefined} then ${displayName ?? null} else display_name end,
        password_hash = coalesce(${passwordHash}, password_hash)
      where id = ${id}
      returning id, name, display_name as "displayName", email, is_active as "isActive", created_at as "createdAt", updated_at as "updatedAt"
    `)
    const changed = (['name', 'displayName', 'email'] as const).filter(field => before[field] !== after[field])
    const record = (action: string, detail?: Record<string, unknown>): Promise<void> =>
      recordAudit(tx, { actor, action, resource: 'user', resourceId: id, ...detail && { detail }, origin })
    if (changed.length > 0) {
      await record('user.change', Object.fromEntries(changed.map(field => [field, { from: before[field], to: after[field] }])))
    }
    if (passwordHash !== null) await record('user.password')
    if (after.isActive && !before.isActive) await record('user.activate')
    return after
  }

  return change
}

const passwordLimitOf = (id: string): Limit => ({
  key: `password:${id}`, max: 5, windowMs: 3_600_000, refusal: 'This password was to be changed 5 times within an hour. Try again later.'
})

async function endOtherSessions (tx: Transaction, actor: User, id: string, origin: Origin): Promise<void> {
  const { signedInBy } = actor
  const kept = actor.id === id && signedInBy.kind === 'session' ? signedInBy.id : null
  const ended = await tx.anyFirst(sql.type(z.object({ id: z.uuid() }))`
    delete from public.auth_sessions where user_id = ${id} and id is distinct from ${kept}::uuid returning id
  `)
  for (const resourceId of ended) {
    await recordAudit(tx, { actor, action: 'session.end', resource: 'session', resourceId, detail: { reason: 'new password' }, origin })
  }
}
