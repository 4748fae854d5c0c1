// Routes of /api/tasks: show the background jobs of all plugins in all replicas (waiting, running, ended, dead); retry,
// cancel and run them.

import { singleLine, z } from 'bulkhead'
import type { Host, Job, Routes } from 'bulkhead'

const State = z.enum(['waiting', 'retrying', 'running', 'done', 'dead', 'failed', 'cancelled'])
const time = z.iso.datetime()

const Run = z.object({
  id: z.uuid(),
  task: z.string(),
  key: z.string().nullable(),
  state: State,
  attempt: z.int(),
  attemptsMax: z.int(),
  sentAt: time,
  dueAt: time,
  startedAt: time.nullable(),
  endedAt: time.nullable(),
  durationMs: z.number().nullable(),
  error: z.string().nullable(),
  holdsBack: z.int()
}) satisfies z.ZodType<Job>

const query = z.object({
  plugin: singleLine(48).optional(),
  task: singleLine(200).optional(),
  state: State.optional(),
  limit: z.coerce.number().int().min(1).max(1_000).default(100)
})
const params = z.object({ id: z.uuid() })
const operate = { permission: 'host:operate', params, returns: Run } as const

export function registerTasks (routes: Routes, host: Host): void {
  routes.get('/', { permission: 'host:read', query, returns: z.object({ items: z.array(Run) }), summary: 'Jobs, events and ticks of all replicas, the newest first' },
    async ({ input }) => ({ items: [...await host.jobs(input.query)] }))

  routes.post('/:id/retry', { ...operate, summary: 'Retry a dead or cancelled job' },
    ({ input }) => host.retryJob(input.params.id))

  routes.post('/:id/cancel', { ...operate, summary: 'Cancel a waiting or running job, or discard a dead letter' },
    ({ input }) => host.cancelJob(input.params.id))

  routes.post('/run', { permission: 'host:operate', body: z.object({ task: singleLine(200) }), returns: Run, summary: 'Run a task that runs by the clock now' },
    ({ input }) => host.runTask(input.body.task))

  const body = z.object({ plugin: singleLine(48) })
  routes.post('/forget', { permission: 'host:operate', body, returns: z.object({ items: z.array(Run) }), summary: 'End what waits for a plugin that is removed for good' },
    async ({ input }) => ({ items: [...await host.forgetPlugin(input.body.plugin)] }))
}
