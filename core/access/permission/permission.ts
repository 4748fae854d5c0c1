// Defines the host's own roles and permissions, and writes them and the permissions of plugins to the database.

import { sql, z } from '../../contract/index.ts'
import type { PermissionDeclaration, Postgres, Transaction } from '../../contract/index.ts'
import { lockAccess } from '../common/access-lock.ts'
import { bumpEpoch } from './permission-epoch.ts'

export interface DeclaredPermission extends PermissionDeclaration {
  readonly name: string
  /** The id of the plugin that declares it; the host's own have none. */
  readonly plugin?: string
}

/** No user may change or delete these roles. `admin` holds every permission; `agent` holds none and relies on delegations. */
const systemRoles: Readonly<Record<string, string>> = {
  admin: 'May do everything',
  developer: 'Works on projects',
  ops: 'Runs what is deployed',
  agent: 'Acts on what is delegated to it',
  viewer: 'Sees, and changes nothing'
}

export const corePermissions: readonly DeclaredPermission[] = [
  { name: 'project:read', description: 'See projects, issues, merge requests', roles: ['developer', 'viewer'] },
  { name: 'project:write', description: 'Create and change projects, issues, merge requests', roles: ['developer'] },
  { name: 'project:delete', description: 'Delete a project' },
  { name: 'agent:run', description: 'Start agent sessions', roles: ['developer'] },
  { name: 'deploy:read', description: 'See deployments', roles: ['developer', 'ops', 'viewer'] },
  { name: 'deploy:promote', description: 'Change, promote, roll back deployments', roles: ['ops'] },
  { name: 'observe:read', description: 'Read logs, traces, metrics', roles: ['developer', 'ops', 'viewer'] },
  { name: 'observe:write', description: 'Send logs, traces, metrics', roles: ['ops'] },
  { name: 'alert:manage', description: 'Manage alert rules', roles: ['ops'] },
  { name: 'secret:read', description: 'See that a secret exists (never its value)', roles: ['developer', 'ops'] },
  { name: 'secret:write', description: 'Create, replace, delete secrets' },
  { name: 'admin:users', description: 'Manage users' },
  { name: 'admin:roles', description: 'Manage roles and who has them' },
  { name: 'admin:delegate', description: 'Delegate permissions to another user' }
]

/**
 * Maps the first part of a permission's name to the id of the only plugin that may declare further permissions under it.
 * The host reserves the part for this id, whether that plugin is installed or not. A replacement of the plugin has the same id.
 */
export const permissionHomes: Readonly<Record<string, string>> = {
  project: 'projects',
  secret: 'secrets',
  host: 'operations',
  agent: 'agent',
  deploy: 'deployer',
  observe: 'observe',
  alert: 'observe'
}

/**
 * Writes the permissions of the host and its plugins (`declared`) to the database: names, descriptions, and which system roles
 * hold them. When the database is up to date already, this makes one query and takes no lock.
 * Permissions that are no longer declared stay, with their grants, because another replica may still run the plugin.
 * Roles that an admin made are not changed.
 */
export async function syncPermissions (postgres: Postgres, declared: readonly DeclaredPermission[]): Promise<{ changed: boolean }> {
  const wanted = wantedOf(declared)
  if (await isInSync(postgres, wanted)) return { changed: false }
  await postgres.transaction(async tx => {
    await lockAccess(tx)
    await writePermissions(tx, wanted)
  })
  return { changed: true }
}

/**
 * The permissions that the database should have, as parallel lists. `holders` has the system roles that hold the permission,
 * sorted and separated by spaces.
 */
export interface Wanted {
  readonly names: readonly string[]
  readonly descriptions: readonly string[]
  readonly holders: readonly string[]
}

export function wantedOf (declared: readonly DeclaredPermission[]): Wanted {
  const all = [...corePermissions, ...declared]
  return {
    names: all.map(({ name }) => name),
    descriptions: all.map(({ description }) => description),
    holders: all.map(({ roles = [] }) => [...new Set(['admin', ...roles])].sort().join(' '))
  }
}

const isInSync = (postgres: Postgres, { names, descriptions, holders }: Wanted): Promise<boolean> =>
  postgres.oneFirst(sql.type(z.object({ isInSync: z.boolean() }))`
    with present as (
      select p.name, p.description, coalesce(string_agg(r.name, ' ' order by r.name collate "C"), '') as holders
      from public.permissions p
      left join (public.role_permissions rp join public.roles r on r.id = rp.role_id and r.is_system) on rp.permission_id = p.id
      group by p.id
    ), wanted as (
      select * from unnest(
        ${sql.array(names, 'text')}::text[], ${sql.array(descriptions, 'text')}::text[], ${sql.array(holders, 'text')}::text[]
      ) as w (name, description, holders)
    )
    select not exists (select name, description, holders from wanted except select name, description, holders from present)
      and not exists (select from present where 'admin' <> all(string_to_array(holders, ' ')))
      as "isInSync"
  `)

/** Writes the permissions. The caller must hold the lock of `lockAccess`. */
export async function writePermissions (tx: Transaction, { names, descriptions, holders }: Wanted): Promise<void> {
  await writeSystemRoles(tx)
  await tx.query(sql.type(z.object({}))`
    insert into public.permissions as p (name, resource, action, description)
    select name, split_part(name, ':', 1), split_part(name, ':', 2), description
    from unnest(${sql.array(names, 'text')}::text[], ${sql.array(descriptions, 'text')}::text[]) as w (name, description)
    on conflict (name) do update set description = excluded.description where p.description is distinct from excluded.description
  `)
  await tx.query(sql.type(z.object({}))`
    delete from public.role_permissions rp
    using public.roles r, public.permissions p, unnest(${sql.array(names, 'text')}::text[], ${sql.array(holders, 'text')}::text[]) as w (name, holders)
    where r.id = rp.role_id and r.is_system and p.id = rp.permission_id and p.name = w.name
      and r.name <> all(string_to_array(w.holders, ' '))
  `)
  await tx.query(sql.type(z.object({}))`
    insert into public.role_permissions (role_id, permission_id)
    select r.id, p.id
    from unnest(${sql.array(names, 'text')}::text[], ${sql.array(holders, 'text')}::text[]) as w (name, holders)
    cross join string_to_table(w.holders, ' ') as holder
    join public.roles r on r.name = holder and r.is_system
    join public.permissions p on p.name = w.name
    union
    select r.id, p.id from public.roles r cross join public.permissions p where r.name = 'admin' and r.is_system
    on conflict do nothing
  `)
  await bumpEpoch(tx)
}

async function writeSystemRoles (tx: Transaction): Promise<void> {
  await tx.query(sql.type(z.object({}))`
    insert into public.roles (name, description, is_system)
    select name, description, true
    from unnest(${sql.array(Object.keys(systemRoles), 'text')}::text[], ${sql.array(Object.values(systemRoles), 'text')}::text[]) as r (name, description)
    on conflict do nothing
  `)
}
