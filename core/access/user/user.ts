// Creates, lists, finds, changes and deactivates users, for administrators.

import { sql, UserRecord, z } from '../../contract/index.ts'
import type { Users } from '../../contract/index.ts'
import { recordAudit } from '../audit/audit-log.ts'
import { assertMayTakeOver } from '../permission/authority.ts'
import { createPasswordLinks } from './password-link.ts'
import { createUserChange, type UserParts } from './user-change.ts'
import { addUserKeys, assertFree } from './user-key.ts'
import { assertForms, refuseUnknown, shutOut } from './user-row.ts'

export function createUsers (parts: UserParts): Users {
  const { postgres, clock, passwords, decisions, changeAccess } = parts
  const create: Users['create'] = async (actor, input, origin) => {
    await decisions.require(actor, 'admin:users')
    assertForms(input)
    const { name, email, displayName = null } = input
    const passwordHash = await passwords.hash(input.password)
    return postgres.transaction(async tx => {
      await assertFree(tx, { name, email }, null)
      const user = await tx.one(sql.type(UserRecord)`
        insert into public.users (name, display_name, email, password_hash) values (${name}, ${displayName}, ${email}, ${passwordHash})
        returning id, name, display_name as "displayName", email, is_active as "isActive", created_at as "createdAt", updated_at as "updatedAt"
      `)
      await addUserKeys(tx, user)
      await recordAudit(tx, { actor, action: 'user.create', resource: 'user', resourceId: user.id, detail: { name, email }, origin })
      return user
    })
  }

  const list: Users['list'] = async (actor, { limit, offset }) => {
    await decisions.require(actor, 'admin:users')
    const [items, total] = await Promise.all([
      postgres.any(sql.type(UserRecord)`
        select id, name, display_name as "displayName", email, is_active as "isActive", created_at as "createdAt", updated_at as "updatedAt"
        from public.users order by name, id limit ${limit} offset ${offset}
      `),
      postgres.oneFirst(sql.type(z.object({ total: z.int() }))`select count(*) as total from public.users`)
    ])
    return { items: [...items], total }
  }

  const find: Users['find'] = async (actor, id) => {
    if (actor.id !== id) await decisions.require(actor, 'admin:users')
    const user = await postgres.maybeOne(sql.type(UserRecord)`
      select id, name, display_name as "displayName", email, is_active as "isActive", created_at as "createdAt", updated_at as "updatedAt"
      from public.users where id = ${id}
    `)
    return user ?? refuseUnknown()
  }

  const deactivate: Users['deactivate'] = async (actor, id, origin) => {
    await decisions.require(actor, 'admin:users')
    await changeAccess(async tx => {
      await assertMayTakeOver(tx, actor, id, new Date(clock.now()).toISOString())
      const found = await tx.maybeOneFirst(sql.type(z.object({ id: z.uuid() }))`update public.users set is_active = false where id = ${id} returning id`)
      if (found === null) refuseUnknown()
      await shutOut(tx, actor, id, origin)
    })
  }

  return { create, list, find, change: createUserChange(parts), deactivate, ...createPasswordLinks(parts) }
}
