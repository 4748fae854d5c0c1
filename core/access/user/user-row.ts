// The row of a user in the table, and the checks and locks that go with changes to it.

import { NotFound, sql, Unauthorized, ValidationFailed, z } from '../../contract/index.ts'
import type { FieldError, Origin, Transaction, User, UserChange } from '../../contract/index.ts'
import { recordAudit } from '../audit/audit-log.ts'
import { isEmail, nameForm } from '../common/identifier.ts'
import { findPasswordFault } from '../credential/password.ts'
import { endLoansOf } from '../permission/loan.ts'
import { assertAdminLeft } from '../permission/permission-epoch.ts'

export const refuseUnknown = (): never => { throw new NotFound('There is no such user.') }

export function assertForms ({ name, email, password }: UserChange): void {
  const errors: FieldError[] = []
  if (name !== undefined && !nameForm.test(name)) {
    errors.push({ path: 'body.name', message: 'It must be 1 to 255 letters, digits, "-", "_" or ".", without a dot at either end or two in a row.' })
  }
  if (email !== undefined && !isEmail(email)) errors.push({ path: 'body.email', message: 'It must be an e-mail address of 3 to 254 characters.' })
  const fault = password === undefined ? undefined : findPasswordFault(password)
  if (fault !== undefined) errors.push({ path: 'body.password', message: fault })
  if (errors.length > 0) throw new ValidationFailed(errors)
}

/**
 * Takes from a deactivated user all sessions, API tokens and granted delegations, so that none of them works
 * when the user is activated again. Throws `Conflict` when no active admin would be left.
 */
export async function shutOut (tx: Transaction, actor: User, id: string, origin: Origin): Promise<void> {
  const isAdmin = await tx.oneFirst(sql.type(z.object({ isAdmin: z.boolean() }))`
    select exists (
      select from public.user_roles ur join public.roles r on r.id = ur.role_id
      where ur.user_id = ${id} and ur.project_id is null and r.name = 'admin' and r.is_system
    ) as "isAdmin"
  `)
  if (isAdmin) await assertAdminLeft(tx)
  const { sessions, tokens } = await tx.one(sql.type(z.object({ sessions: z.int(), tokens: z.int() }))`
    with sessions as (delete from public.auth_sessions where user_id = ${id} returning id),
      tokens as (delete from public.api_tokens where user_id = ${id} returning id)
    select (select count(*) from sessions) as sessions, (select count(*) from tokens) as tokens
  `)
  await recordAudit(tx, { actor, action: 'user.deactivate', resource: 'user', resourceId: id, detail: { sessions, tokens }, origin })
  await endLoansOf(tx, actor, id, origin)
}

/**
 * Locks the user for whom a session or a token is about to be opened.
 * Throws `Unauthorized` when the user was deleted or deactivated, or has another password than `passwordHash` (null: any).
 */
export async function holdUser (tx: Transaction, id: string, passwordHash: string | null): Promise<void> {
  const found = await tx.maybeOneFirst(sql.type(z.object({ id: z.uuid() }))`
    select id from public.users where id = ${id} and is_active and password_hash = coalesce(${passwordHash}, password_hash) for share
  `)
  if (found === null) throw new Unauthorized('The name or the password is wrong.')
}
