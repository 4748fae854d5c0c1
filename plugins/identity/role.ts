// Routes of /api/admin/roles, /api/admin/permissions and /api/admin/users/:id/roles: roles, their permissions, and
// their assignment to users.

import { AssignmentRecord, PermissionRecord, RoleRecord, z } from 'bulkhead'
import type { Access, Routes } from 'bulkhead'
import { Id, Line, listOf, Name, Page, Text } from './form.ts'
import { originOf } from './origin.ts'

const permission = 'admin:roles'

const NewRole = z.object({ name: Name, description: Text.nullish() })
const RoleChange = z.object({ name: Name, description: Text.nullable() }).partial()

const PermissionNames = z.object({ permissions: z.array(Line).max(1_000) })

const NewAssignment = z.object({ roleId: z.uuid(), projectId: z.uuid().optional() })

export function registerRoles (routes: Routes, { roles }: Access): void {
  routes.get('/roles', { permission, summary: 'List roles, the system\'s first', query: Page, returns: listOf(RoleRecord) },
    ({ user, input }) => roles.list(user, input.query))

  routes.post('/roles', { permission, summary: 'Make a role', body: NewRole, returns: RoleRecord, status: 201 },
    (ctx) => roles.create(ctx.user, ctx.input.body, originOf(ctx)))

  routes.patch('/roles/:id', { permission, summary: 'Change a role; not one of the system', params: Id, body: RoleChange, returns: RoleRecord },
    (ctx) => roles.change(ctx.user, ctx.input.params.id, ctx.input.body, originOf(ctx)))

  routes.delete('/roles/:id', { permission, summary: 'Delete a role, and take it from all who have it; not one of the system', params: Id },
    (ctx) => roles.remove(ctx.user, ctx.input.params.id, originOf(ctx)))

  routes.get('/roles/:id/permissions', { permission, summary: 'What a role may', params: Id, returns: listOf(PermissionRecord) },
    ({ user, input }) => roles.permissionsOf(user, input.params.id))

  routes.put('/roles/:id/permissions', {
    permission, summary: 'Replace the permissions of a role: these and no others', params: Id, body: PermissionNames, returns: listOf(PermissionRecord)
  }, (ctx) => roles.setPermissions(ctx.user, ctx.input.params.id, ctx.input.body.permissions, originOf(ctx)))

  routes.get('/permissions', { permission, summary: 'List every permission, and which plugin contributes it', query: Page, returns: listOf(PermissionRecord) },
    ({ user, input }) => roles.permissions(user, input.query))

  routes.get('/users/:id/roles', { permission, summary: 'List the roles a user has, newest first', params: Id, query: Page, returns: listOf(AssignmentRecord) },
    ({ user, input }) => roles.assignmentsOf(user, input.params.id, input.query))

  routes.post('/users/:id/roles', {
    permission, summary: 'Give a user a role, everywhere or in a project', params: Id, body: NewAssignment, returns: AssignmentRecord, status: 201
  }, (ctx) => roles.assign(ctx.user, ctx.input.params.id, ctx.input.body, originOf(ctx)))

  routes.delete('/users/:id/roles/:roleId', {
    permission,
    summary: 'Take a role from a user: the one held everywhere, or with ?projectId= the one in that project',
    params: Id.extend({ roleId: z.uuid() }),
    query: z.object({ projectId: z.uuid().optional() })
  }, (ctx) => roles.unassign(ctx.user, ctx.input.params.id, { roleId: ctx.input.params.roleId, ...ctx.input.query }, originOf(ctx)))
}
