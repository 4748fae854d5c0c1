// Sets up an empty database at the first start: roles, permissions and the first admin, all in one transaction.
// One host does this, however many start at the same time.

import { randomBytes } from 'node:crypto'
import { sql, z } from '../../contract/index.ts'
import type { Clock, Log, Postgres } from '../../contract/index.ts'
import { isStorable } from '../../contract/text.ts'
import { nobodyId, recordAudit } from '../audit/audit-log.ts'
import { lockAccess } from '../common/access-lock.ts'
import { isEmail, nameForm } from '../common/identifier.ts'
import { createPasswords, isPasswordLength, passwordLength, type Passwords } from '../credential/password.ts'
import { wantedOf, writePermissions } from '../permission/permission.ts'
import { addUserKeys } from './user-key.ts'

export interface FirstAdmin {
  readonly name: string
  /** The e-mail address; `<name>@localhost` by default. */
  readonly email: string | undefined
  readonly password: string | undefined
}

export interface FirstRunParts {
  readonly admin: FirstAdmin
  /** True in production: no operator reads a password off a screen there, so a random password is not allowed. */
  readonly requirePassword: boolean
  readonly log: Log
  readonly clock: Clock
  /** Hashes passwords; by default, at the cost that hosts use. */
  readonly passwords?: Passwords
}

export interface FirstRun {
  readonly created: boolean
  /** The password of the first admin, only when it was made at random. It is stored nowhere. */
  readonly password?: string
}

/** The database has no users yet, and the first admin cannot be made from the settings. */
export class FirstAdminRefused extends Error {
  readonly code = 'BULKHEAD_FIRST_ADMIN_REFUSED'
  readonly problems: readonly string[]

  constructor (problems: readonly string[]) {
    super(['The database has no users yet, and the first admin cannot be made from the settings:', ...problems].join('\n  '))
    this.name = 'FirstAdminRefused'
    this.problems = problems
  }
}

/**
 * Throws `FirstAdminRefused` when the database has no users and the settings do not fit. The tables may still be missing,
 * so that a first start with wrong settings ends before it has changed the database.
 */
export async function checkFirstAdmin (postgres: Postgres, { admin, requirePassword }: Pick<FirstRunParts, 'admin' | 'requirePassword'>): Promise<void> {
  const isMigrated = await postgres.oneFirst(sql.type(z.object({ isMigrated: z.boolean() }))`select to_regclass('public.users') is not null as "isMigrated"`)
  if (isMigrated && await hasUsers(postgres)) return
  const problems = findProblems({ ...admin, email: emailOf(admin) }, requirePassword)
  if (problems.length > 0) throw new FirstAdminRefused(problems)
}

export async function firstRun (
  postgres: Postgres, { admin, requirePassword, log, clock, passwords = createPasswords(clock) }: FirstRunParts
): Promise<FirstRun> {
  if (await hasUsers(postgres)) return { created: false }
  await checkFirstAdmin(postgres, { admin, requirePassword })
  const { name } = admin
  const email = emailOf(admin)
  const password = admin.password ?? createPassword()
  const created = await postgres.transaction(async tx => {
    await lockAccess(tx)
    if (await hasUsers(tx)) return false
    await writePermissions(tx, wantedOf([]))
    const id = await tx.oneFirst(sql.type(z.object({ id: z.uuid() }))`
      insert into public.users (name, display_name, email, password_hash) values (${name}, null, ${email}, ${await passwords.hash(password)})
      returning id
    `)
    await addUserKeys(tx, { id, name, email })
    await tx.query(sql.type(z.object({}))`
      insert into public.user_roles (user_id, role_id, project_id, granted_by)
      select ${id}, id, null, null from public.roles where name = 'admin' and is_system
    `)
    await recordAudit(tx, {
      actor: { id: nobodyId, name: 'first run' }, action: 'user.create', resource: 'user', resourceId: id,
      detail: { name, email, roles: ['admin'] }
    })
    return true
  })
  if (!created) return { created }
  log.info({ admin: name, email }, 'the first admin was made')
  return admin.password === undefined ? { created, password } : { created }
}

const emailOf = ({ name, email }: FirstAdmin): string => email ?? `${name}@localhost`

const hasUsers = (queries: Pick<Postgres, 'oneFirst'>): Promise<boolean> =>
  queries.oneFirst(sql.type(z.object({ hasUsers: z.boolean() }))`select exists (select from public.users) as "hasUsers"`)

function findProblems ({ name, email, password }: FirstAdmin & { email: string }, requirePassword: boolean): string[] {
  const problems: string[] = []
  if (!nameForm.test(name)) {
    problems.push(`PLATFORM_ADMIN_NAME is ${JSON.stringify(name)}: it must be 1 to 255 letters, digits, "-", "_" or ".", without a dot at either end or two in a row`)
  }
  if (!isEmail(email)) {
    problems.push(`PLATFORM_ADMIN_EMAIL is ${JSON.stringify(email)}: it must be an e-mail address of 3 to 254 characters`)
  }
  if (password === undefined && requirePassword) {
    problems.push('PLATFORM_ADMIN_PASSWORD is not set: in production the first admin needs one. Set it for this start; it is not read once there is a user')
  }
  if (password !== undefined && !isPasswordLength(password)) {
    problems.push(`PLATFORM_ADMIN_PASSWORD has ${password.length} characters: it must have ${passwordLength.min} to ${passwordLength.max}`)
  } else if (password !== undefined && !isStorable(password)) {
    problems.push('PLATFORM_ADMIN_PASSWORD holds a NUL character or half of a surrogate pair: leave it out')
  }
  return problems
}

/** There are 32 characters, so that five bits of a random byte choose one. Characters that look alike are left out. */
const alphabet = 'abcdefghijkmnpqrstuvwxyz23456789'

const createPassword = (): string => Array.from(randomBytes(24), byte => alphabet[byte % alphabet.length]).join('')
