// Lists, creates, changes and deletes roles and their permissions, for users who may manage roles. System roles stay as they are.

import { Conflict, NotFound, PermissionRecord, RoleRecord, sql, ValidationFailed, z } from '../../contract/index.ts'
import type { Clock, Postgres, Roles, Transaction } from '../../contract/index.ts'
import { recordAudit } from '../audit/audit-log.ts'
import { nameKeyOf } from '../common/identifier.ts'
import { assertMayGrant } from './authority.ts'
import type { Authorization } from './authorization.ts'
import type { ChangeAccess } from './permission-epoch.ts'

export interface RoleParts {
  readonly postgres: Postgres
  readonly clock: Clock
  readonly decisions: Authorization
  readonly changeAccess: ChangeAccess
  /** Returns the plugin that contributes a permission, as `PermissionRecord.plugin` has it. */
  contributorOf (permission: string): string | null
}

const PermissionRow = PermissionRecord.omit({ plugin: true })

export function createRoles ({ postgres, decisions, changeAccess, contributorOf }: RoleParts): Omit<Roles, 'assignmentsOf' | 'assign' | 'unassign'> {
  const recordOf = ({ name, description }: z.output<typeof PermissionRow>): PermissionRecord => ({ name, description, plugin: contributorOf(name) })

  const list: Roles['list'] = async (actor, { limit, offset }) => {
    await decisions.require(actor, 'admin:roles')
    const [items, total] = await Promise.all([
      postgres.any(sql.type(RoleRecord)`
        select id, name, description, is_system as "isSystem", created_at as "createdAt" from public.roles
        order by is_system desc, name, id limit ${limit} offset ${offset}
      `),
      postgres.oneFirst(sql.type(z.object({ total: z.int() }))`select count(*) as total from public.roles`)
    ])
    return { items: [...items], total }
  }

  const create: Roles['create'] = async (actor, { name, description = null }, origin) => {
    await decisions.require(actor, 'admin:roles')
    return postgres.transaction(async tx => {
      await assertFree(tx, name, null)
      const role = await tx.one(sql.type(RoleRecord)`
        insert into public.roles (name, description) values (${name}, ${description})
        returning id, name, description, is_system as "isSystem", created_at as "createdAt"
      `)
      await recordAudit(tx, { actor, action: 'role.create', resource: 'role', resourceId: role.id, detail: { name }, origin })
      return role
    })
  }

  const change: Roles['change'] = async (actor, id, { name = null, description }, origin) => {
    await decisions.require(actor, 'admin:roles')
    return postgres.transaction(async tx => {
      const before = await findOwn(tx, id)
      if (name !== null) await assertFree(tx, name, id)
      const role = await tx.one(sql.type(RoleRecord)`
        update public.roles set name = coalesce(${name}, name),
          description = case when ${description !== undefined} then ${description ?? null} else description end
        where id = ${id} returning id, name, description, is_system as "isSystem", created_at as "createdAt"
      `)
      const detail = { from: { name: before.name, description: before.description }, to: { name: role.name, description: role.description } }
      await recordAudit(tx, { actor, action: 'role.change', resource: 'role', resourceId: id, detail, origin })
      return role
    })
  }

  const remove: Roles['remove'] = async (actor, id, origin) => {
    await decisions.require(actor, 'admin:roles')
    await changeAccess(async tx => {
      const { name } = await findOwn(tx, id)
      await tx.query(sql.type(z.object({}))`delete from public.roles where id = ${id}`)
      await recordAudit(tx, { actor, action: 'role.delete', resource: 'role', resourceId: id, detail: { name }, origin })
    })
  }

  const permissionsHeld = async (queries: Pick<Transaction, 'any'>, id: string): Promise<readonly z.output<typeof PermissionRow>[]> =>
    queries.any(sql.type(PermissionRow)`
      select p.name, p.description from public.role_permissions rp join public.permissions p on p.id = rp.permission_id where rp.role_id = ${id} order by p.name
    `)

  const permissionsOf: Roles['permissionsOf'] = async (actor, id) => {
    await decisions.require(actor, 'admin:roles')
    await findRole(postgres, id)
    const held = await permissionsHeld(postgres, id)
    return { items: held.map(recordOf), total: held.length }
  }

  const setPermissions: Roles['setPermissions'] = async (actor, id, wanted, origin) => {
    await decisions.require(actor, 'admin:roles')
    const names = [...new Set(wanted)]
    const held = await changeAccess(async tx => {
      const role = await findOwn(tx, id)
      const before = (await permissionsHeld(tx, id)).map(({ name }) => name)
      await assertKnown(tx, wanted)
      const added = names.filter(name => !before.includes(name))
      // A role may be assigned everywhere, so the caller must hold every added permission everywhere.
      await assertMayGrant(tx, actor, added, null)
      await tx.query(sql.type(z.object({}))`
        delete from public.role_permissions rp using public.permissions p
        where rp.role_id = ${id} and p.id = rp.permission_id and p.name <> all(${sql.array(names, 'text')}::text[])
      `)
      await tx.query(sql.type(z.object({}))`
        insert into public.role_permissions (role_id, permission_id)
        select ${id}, id from public.permissions where name = any(${sql.array(names, 'text')}::text[]) on conflict do nothing
      `)
      const after = await permissionsHeld(tx, id)
      const detail = { name: role.name, added, removed: before.filter(name => !names.includes(name)) }
      await recordAudit(tx, { actor, action: 'role.permissions', resource: 'role', resourceId: id, detail, origin })
      return after
    })
    return { items: held.map(recordOf), total: held.length }
  }

  const permissions: Roles['permissions'] = async (actor, { limit, offset }) => {
    await decisions.require(actor, 'admin:roles')
    const [items, total] = await Promise.all([
      postgres.any(sql.type(PermissionRow)`select name, description from public.permissions order by name limit ${limit} offset ${offset}`),
      postgres.oneFirst(sql.type(z.object({ total: z.int() }))`select count(*) as total from public.permissions`)
    ])
    return { items: items.map(recordOf), total }
  }

  return { list, create, change, remove, permissionsOf, setPermissions, permissions }
}

async function findRole (queries: Pick<Transaction, 'maybeOne'>, id: string): Promise<RoleRecord> {
  const role = await queries.maybeOne(sql.type(RoleRecord)`
    select id, name, description, is_system as "isSystem", created_at as "createdAt" from public.roles where id = ${id}
  `)
  if (role === null) throw new NotFound('There is no such role.')
  return role
}

async function findOwn (tx: Transaction, id: string): Promise<RoleRecord> {
  const role = await findRole(tx, id)
  if (role.isSystem) throw new Conflict(`"${role.name}" is a role of the system: it is neither changed nor deleted. Make a role of your own.`)
  return role
}

/**
 * Throws `Conflict` when another role has the name, regardless of case.
 * The second of two concurrent calls sees the row that the first has written.
 */
async function assertFree (tx: Transaction, name: string, exceptId: string | null): Promise<void> {
  await tx.query(sql.type(z.object({ isLocked: z.boolean() }))`
    select true as "isLocked" from pg_advisory_xact_lock(hashtextextended('bulkhead roles', 0))
  `)
  const isTaken = await tx.oneFirst(sql.type(z.object({ isTaken: z.boolean() }))`
    select exists (select from public.roles where lower(name collate "C") = ${nameKeyOf(name)} and id is distinct from ${exceptId}::uuid) as "isTaken"
  `)
  if (isTaken) throw new Conflict('There is a role of this name already.')
}

async function assertKnown (tx: Transaction, names: readonly string[]): Promise<void> {
  const known = new Set(await tx.anyFirst(sql.type(z.object({ name: z.string() }))`
    select name from public.permissions where name = any(${sql.array(names, 'text')}::text[])
  `))
  const errors = names.flatMap((name, index) => known.has(name) ? [] : [{ path: `body.permissions.${index}`, message: `There is no permission "${name}".` }])
  if (errors.length > 0) throw new ValidationFailed(errors)
}
