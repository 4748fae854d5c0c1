// The API of the host for those who operate it: its plugins, and how it started.

import { definePlugin } from 'bulkhead'
import { registerLifecycle } from './lifecycle.ts'
import { registerPlugins } from './plugin.ts'

export default definePlugin({
  permissions: {
    'host:read': { description: 'See the plugins of the host and how it started' },
    'host:operate': { description: 'Replace plugins, switch them off and on' }
  },
  start ({ routes, host }) {
    registerPlugins(routes.at('plugins'), host)
    registerLifecycle(routes.at('lifecycle'), host)
  }
})
