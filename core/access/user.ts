// Users as administrators see them, and what users may change of themselves.

import { Conflict, Forbidden, NotFound, sql, Unauthorized, ValidationFailed, z } from '../contract/index.ts'
import type { FieldError, Origin, Postgres, Transaction, User, UserChange, UserRecord, Users } from '../contract/index.ts'
import { recordAudit } from './audit.ts'
import { assertAdminLeft, type ChangeAccess } from './change.ts'
import type { Decisions } from './decision.ts'
import { emailForm, nameForm } from './form.ts'
import { hashPassword, isPassword, isPasswordLength, passwordLength } from './password.ts'
import type { Limit, RateLimits } from './rate-limit.ts'

interface Parts {
  readonly postgres: Postgres
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

const Row = z.object({
  id: z.uuid(),
  name: z.string(),
  displayName: z.string().nullable(),
  email: z.string(),
  isActive: z.boolean(),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime()
}) satisfies z.ZodType<UserRecord>

export function createUsers ({ postgres, limits, decisions, changeAccess, forget }: Parts): Users {
  const create: Users['create'] = async (actor, input, origin) => {
    await decisions.require(actor, 'admin:users')
    assertForms(input)
    const { name, email, displayName = null } = input
    const passwordHash = await hashPassword(input.password)
    return postgres.transaction(async tx => {
      await assertFree(tx, { name, email }, null)
      const user = await tx.one(sql.type(Row)`
        insert into users (name, display_name, email, password_hash) values (${name}, ${displayName}, ${email}, ${passwordHash})
        returning id, name, display_name as "displayName", email, is_active as "isActive", created_at as "createdAt", updated_at as "updatedAt"
      `)
      await recordAudit(tx, { actor, action: 'user.create', resource: 'user', resourceId: user.id, detail: { name, email }, origin })
      return user
    })
  }

  const list: Users['list'] = async (actor, { limit, offset }) => {
    await decisions.require(actor, 'admin:users')
    const [items, total] = await Promise.all([
      postgres.any(sql.type(Row)`
        select id, name, display_name as "displayName", email, is_active as "isActive", created_at as "createdAt", updated_at as "updatedAt"
        from users order by name, id limit ${limit} offset ${offset}
      `),
      postgres.oneFirst(sql.type(z.object({ total: z.int() }))`select count(*) as total from users`)
    ])
    return { items: [...items], total }
  }

  const find: Users['find'] = async (actor, id) => {
    if (actor.id !== id) await decisions.require(actor, 'admin:users')
    const user = await postgres.maybeOne(sql.type(Row)`
      select id, name, display_name as "displayName", email, is_active as "isActive", created_at as "createdAt", updated_at as "updatedAt"
      from users where id = ${id}
    `)
    return user ?? refuseUnknown()
  }

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
      const stored = await postgres.oneFirst(sql.type(z.object({ hash: z.string() }))`select password_hash as hash from users where id = ${id}`)
      if (!await isPassword(currentPassword, stored)) throw new Forbidden('The current password is not the right one.')
    } else {
      await limits.take(postgres, passwordLimitOf(id))
      const theirs = [...await decisions.permissionsOf(id, null)].filter(name => name.startsWith('admin:'))
      for (const name of theirs) await decisions.require(actor, name)
    }
    return hashPassword(password)
  }

  async function write (tx: Transaction, { actor, id, wanted, passwordHash, origin }: Writing): Promise<UserRecord> {
    const { name = null, email = null, displayName, isActive = null } = wanted
    const before = await tx.maybeOne(sql.type(Row)`
      select id, name, display_name as "displayName", email, is_active as "isActive", created_at as "createdAt", updated_at as "updatedAt"
      from users where id = ${id} for update
    `)
    if (before === null) return refuseUnknown()
    await assertFree(tx, { name, email }, id)
    const after = await tx.one(sql.type(Row)`
      update users set
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

  const deactivate: Users['deactivate'] = async (actor, id, origin) => {
    await decisions.require(actor, 'admin:users')
    await changeAccess(async tx => {
      const found = await tx.maybeOneFirst(sql.type(z.object({ id: z.uuid() }))`update users set is_active = false where id = ${id} returning id`)
      if (found === null) refuseUnknown()
      await shutOut(tx, actor, id, origin)
    })
  }

  return { create, list, find, change, deactivate }
}

const refuseUnknown = (): never => { throw new NotFound('There is no such user.') }

const passwordLimitOf = (id: string): Limit => ({
  key: `password:${id}`, max: 5, windowMs: 3_600_000, refusal: 'This password was to be changed 5 times within an hour. Try again later.'
})

function assertForms ({ name, email, password }: UserChange): void {
  const errors: FieldError[] = []
  if (name !== undefined && !nameForm.test(name)) {
    errors.push({ path: 'body.name', message: 'It must be 1 to 255 letters, digits, "-", "_" or ".", without a dot at either end or two in a row.' })
  }
  if (email !== undefined && !emailForm.test(email)) errors.push({ path: 'body.email', message: 'It must be an e-mail address of 3 to 254 characters.' })
  if (password !== undefined && !isPasswordLength(password)) {
    errors.push({ path: 'body.password', message: `It must have ${passwordLength.min} to ${passwordLength.max} characters.` })
  }
  if (errors.length > 0) throw new ValidationFailed(errors)
}

/** Says which of the two is taken; of two who come at once the database lets one through. */
async function assertFree (tx: Transaction, { name, email }: { name: string | null, email: string | null }, exceptId: string | null): Promise<void> {
  const taken = await tx.any(sql.type(z.object({ name: z.string(), email: z.string() }))`
    select name, email from users where (name = ${name} or email = ${email}) and id is distinct from ${exceptId}::uuid
  `)
  if (taken.some(other => other.name === name)) throw new Conflict('There is a user of this name already.')
  if (taken.length > 0) throw new Conflict('There is a user with this e-mail address already.')
}

async function endOtherSessions (tx: Transaction, actor: User, id: string, origin: Origin): Promise<void> {
  const { signedInBy } = actor
  const kept = actor.id === id && signedInBy.kind === 'session' ? signedInBy.id : null
  const ended = await tx.anyFirst(sql.type(z.object({ id: z.uuid() }))`
    delete from auth_sessions where user_id = ${id} and id is distinct from ${kept}::uuid returning id
  `)
  for (const resourceId of ended) {
    await recordAudit(tx, { actor, action: 'session.end', resource: 'session', resourceId, detail: { reason: 'new password' }, origin })
  }
}

/** What a deactivation takes away beside the right to do anything: when the user comes back, nothing of before opens a door. */
async function shutOut (tx: Transaction, actor: User, id: string, origin: Origin): Promise<void> {
  await assertAdminLeft(tx)
  const { sessions, tokens } = await tx.one(sql.type(z.object({ sessions: z.int(), tokens: z.int() }))`
    with sessions as (delete from auth_sessions where user_id = ${id} returning id),
      tokens as (delete from api_tokens where user_id = ${id} returning id)
    select (select count(*) from sessions) as sessions, (select count(*) from tokens) as tokens
  `)
  await recordAudit(tx, { actor, action: 'user.deactivate', resource: 'user', resourceId: id, detail: { sessions, tokens }, origin })
}

/** The user behind a session or a token that is about to be opened: gone, shut out or with another password by now, they open nothing. */
export async function holdUser (tx: Transaction, id: string, passwordHash: string | null): Promise<void> {
  const found = await tx.maybeOneFirst(sql.type(z.object({ id: z.uuid() }))`
    select id from users where id = ${id} and is_active and password_hash = coalesce(${passwordHash}, password_hash) for share
  `)
  if (found === null) throw new Unauthorized('The name or the password is wrong.')
}
