// graphile-worker: `setting` is the size of its local queue; -1 is without.

import { Logger, makeWorkerUtils, run } from 'graphile-worker'
import { concurrency, connections, serve, setting, url, type Payload } from './task-peer.ts'

const logger = new Logger(() => (level, message) => { if (level === 'error') console.error(message) })
const utils = await makeWorkerUtils({ connectionString: url, maxPoolSize: connections, logger })
await utils.migrate()
const size = Number(setting)

serve({
  send: payload => utils.addJob('deliver', payload),
  work: async handle => {
    const runner = await run({
      connectionString: url, noHandleSignals: true, logger,
      taskList: { deliver: async payload => { handle(payload as Payload) } },
      preset: {
        worker: {
          concurrentJobs: concurrency, maxPoolSize: connections,
          ...size > 0 && { localQueue: { size }, completeJobBatchDelay: 0, failJobBatchDelay: 0 }
        }
      }
    })
    return () => runner.stop()
  }
})
