// Routes of /api/admin/audit: read the audit log.

import { instant, z } from 'bulkhead'
import type { Access, Routes } from 'bulkhead'
import { Line, listOf, Page } from './form.ts'

const Entry = z.object({
  id: z.uuid(),
  actorId: z.uuid(),
  actorName: z.string(),
  action: z.string(),
  resource: z.string(),
  resourceId: z.uuid().nullable(),
  projectId: z.uuid().nullable(),
  detail: z.unknown(),
  address: z.string().nullable(),
  plugin: z.string().nullable(),
  isByPlugin: z.boolean(),
  createdAt: z.iso.datetime()
})

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
    query: Filter, returns: listOf(Entry)
  }, ({ user, input: { query: { limit, offset, ...filter } } }) => audit.find(user, filter, { limit, offset }))
}
