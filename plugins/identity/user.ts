// Routes of /api/users: the users of the platform, people and agents alike.

import { UserRecord, z } from 'bulkhead'
import type { Access, Routes } from 'bulkhead'
import { Email, Id, Line, listOf, Name, NewPassword, Page, Password } from './form.ts'
import { originOf } from './origin.ts'

const NewUser = z.object({ name: Name, email: Email, password: NewPassword, displayName: Line.nullish() })
const UserChange = z.object({
  name: Name,
  displayName: Line.nullable(),
  email: Email,
  password: NewPassword,
  currentPassword: Password,
  revokeTokens: z.boolean(),
  isActive: z.boolean()
}).partial()

export function registerUsers (routes: Routes, { users }: Access): void {
  routes.post('/', {
    permission: 'admin:users', summary: 'Make a user', body: NewUser, returns: UserRecord, status: 201
  }, (ctx) => users.create(ctx.user, ctx.input.body, originOf(ctx)))

  routes.get('/', {
    permission: 'admin:users', summary: 'List users by name', query: Page, returns: listOf(UserRecord)
  }, ({ user, input }) => users.list(user, input.query))

  routes.get('/:id', {
    signedIn: 'shows callers themselves; others need admin:users',
    summary: 'One user', params: Id, returns: UserRecord
  }, ({ user, input }) => users.find(user, input.params.id))

  routes.patch('/:id', {
    signedIn: 'changes callers themselves; others need admin:users',
    summary: 'Change a user; a new password of one\'s own goes with the current one, ends the other sessions, and with "revokeTokens" the API tokens',
    params: Id, body: UserChange, returns: UserRecord
  }, (ctx) => users.change(ctx.user, ctx.input.params.id, ctx.input.body, originOf(ctx)))

  routes.delete('/:id', {
    permission: 'admin:users', summary: 'Deactivate a user: sessions end, tokens are revoked', params: Id
  }, (ctx) => users.deactivate(ctx.user, ctx.input.params.id, originOf(ctx)))
}
