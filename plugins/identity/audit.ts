// Routes of /api/admin/audit: read the audit log.

import { AuditRecord, instant, z } from 'bulkhead'
import type { Access, Routes } from 'bulkhead'
import { Line, listOf, Page } from './form.ts'

const Filter = Page.extend({
  actorId: z.uuid().optional(),
  action: Line.optional(),
  resource: Line.optional(),
  resourceId: z.uuid().optional(),
  projectId: z.uuid().optional(),
  plugin: Line.optional(),
  from: instant().optional(),
  to: instant().optional()
})

export function registerAudit (routes: Routes, { audit }: Access): void {
  routes.get('/audit', {
    permission: 'admin:users',
    summary: 'Read the audit log, newest first; what is given must all hold, `from` included and `to` not',
    query: Filter, returns: listOf(AuditRecord)
  }, ({ user, input: { query: { limit, offset, ...filter } } }) => audit.find(user, filter, { limit, offset }))
}
