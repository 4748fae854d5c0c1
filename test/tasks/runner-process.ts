// A replica of its own process, for a test to kill: `node runner-process.ts <database URL>` says when its task runs, and never ends it.

import { openTasks } from '../../core/tasks/index.ts'
import { createLog, openParts } from '../support/part.ts'
import { connectTasks } from '../support/postgres.ts'

const { value } = await openTasks({ connections: connectTasks(process.argv[2] ?? ''), maxConnections: 3, historyHours: 1, drainMs: 50 }, openParts())
await value.register({
  plugin: 'notes',
  log: createLog(),
  tasks: [{
    kind: 'every',
    name: 'wait',
    interval: '1s',
    options: {},
    handler: async ({ attempt }) => {
      console.log('running', attempt)
      await Promise.withResolvers().promise
    }
  }]
})
