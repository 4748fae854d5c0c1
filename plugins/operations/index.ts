// The API of the host for those who operate it: its plugins, what they do in the background, and how it started.

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
