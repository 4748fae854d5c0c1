// Routes of /api/plugins: show the state of each plugin and its reason; reload, enable and disable plugins.

import { singleLine, z } from 'bulkhead'
import type { Host, Operator, PluginStatus, Routes, User } from 'bulkhead'
import { State } from './state.ts'

const count = z.int().min(0)

const Plugin = z.object({
  id: z.string(),
  version: z.string(),
  generation: z.int(),
  state: State,
  since: z.iso.datetime(),
  reason: z.string().nullable(),
  retryAt: z.iso.datetime().nullable(),
  restarts: count,
  readiness: z.enum(['required', 'degraded']),
  needs: z.array(z.string()).readonly(),
  mounts: z.array(z.string()).readonly(),
  owns: z.object({ routes: count, tasks: count, timers: count, subscriptions: count, listeners: count, connections: count, others: count }),
  leftBehind: z.array(z.string()).readonly(),
  behind: z.string().nullable()
}) satisfies z.ZodType<PluginStatus>

const params = z.object({ id: singleLine(48) })
const Why = z.object({ reason: singleLine(500).optional() })

const by = (user: User, address: string): Operator => ({ id: user.id, name: user.name, address, user })

const operate = { permission: 'host:operate', params, returns: Plugin } as const

export function registerPlugins (routes: Routes, host: Host): void {
  routes.get('/', { permission: 'host:read', returns: z.object({ items: z.array(Plugin), total: z.int() }), summary: 'The plugins of this replica, by id' }, () => {
    const items = [...host.plugins()]
    return { items, total: items.length }
  })

  routes.get('/:id', { permission: 'host:read', params, returns: Plugin, summary: 'One plugin of this replica' },
    ({ input }) => host.plugin(input.params.id))

  routes.post('/:id/reload', { ...operate, summary: 'Reload a plugin from its folder: replace, install or remove it' },
    ({ input, user, ip }) => host.reload(input.params.id, by(user, ip)))

  routes.post('/:id/enable', { ...operate, summary: 'Enable a plugin' },
    ({ input, user, ip }) => host.enable(input.params.id, by(user, ip)))

  routes.post('/:id/disable', { ...operate, body: Why.optional(), summary: 'Disable a plugin until it is enabled again' },
    ({ input, user, ip }) => host.disable(input.params.id, by(user, ip), input.body?.reason))
}
