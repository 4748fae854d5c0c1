// The HTTP API for operators of the host: its plugins, their background work, and the start of the host.

import { definePlugin } from 'bulkhead'
import { registerLifecycle } from './lifecycle.ts'
import { registerPlugins } from './plugin.ts'
import { registerTasks } from './task.ts'

export default definePlugin({
  permissions: {
    'host:read': { description: 'See the plugins of the host, what they do in the background, and how it started' },
    'host:operate': { description: 'Replace plugins, switch them off and on; retry, cancel and run what they do in the background' }
  },
  start ({ routes, host }) {
    registerPlugins(routes.at('plugins'), host)
    registerLifecycle(routes.at('lifecycle'), host)
    registerTasks(routes.at('tasks'), host)
  }
})
