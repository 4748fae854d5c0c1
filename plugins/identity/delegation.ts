// Routes of /api/admin/delegations: permissions that one user delegates to another.

import { DelegationRecord, instant, z } from 'bulkhead'
import type { Access, Routes } from 'bulkhead'
import { Id, Line, listOf, Page, Reason } from './form.ts'
import { originOf } from './origin.ts'

const NewDelegation = z.object({
  delegateId: z.uuid(),
  permission: Line,
  projectId: z.uuid().optional(),
  expiresAt: instant().optional(),
  reason: Reason.optional()
})

export function registerDelegations (routes: Routes, { delegations }: Access): void {
  routes.post('/delegations', {
    signedIn: 'lends what the caller holds by a role, and nothing else',
    summary: 'Delegate a permission to another user, everywhere or in a project, for a time or until revoked',
    body: NewDelegation, returns: DelegationRecord, status: 201
  }, (ctx) => delegations.grant(ctx.user, ctx.input.body, originOf(ctx)))

  routes.get('/delegations', {
    signedIn: 'lists those from and to the caller; all need admin:delegate',
    summary: 'List delegations, newest first', query: Page, returns: listOf(DelegationRecord)
  }, ({ user, input }) => delegations.list(user, input.query))

  routes.delete('/delegations/:id', {
    signedIn: 'revokes one of the caller\'s own; others need admin:delegate',
    summary: 'Revoke a delegation', params: Id
  }, (ctx) => delegations.revoke(ctx.user, ctx.input.params.id, originOf(ctx)))
}
