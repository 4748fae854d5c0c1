// Routes of /api/lifecycle: how the host started, unit by unit.

import { z } from 'bulkhead'
import type { Host, Lifecycle, Routes } from 'bulkhead'
import { State } from './state.ts'

const Span = z.object({
  id: z.string(),
  kind: z.enum(['resource', 'plugin', 'host']),
  state: State,
  waitedForMs: z.number(),
  startedAt: z.iso.datetime().nullable(),
  durationMs: z.number(),
  attempts: z.int(),
  needs: z.array(z.string()).readonly(),
  lastNeed: z.string().nullable(),
  reason: z.string().nullable()
})

const Report = z.object({
  totalMs: z.number(),
  units: z.array(Span).readonly(),
  criticalPath: z.array(z.string()).readonly()
}) satisfies z.ZodType<Lifecycle>

export function registerLifecycle (routes: Routes, host: Host): void {
  routes.get('/', { permission: 'host:read', returns: Report, summary: 'How this replica started, and what took the time' }, () => host.lifecycle())
}
