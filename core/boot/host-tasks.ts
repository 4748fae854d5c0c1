// What the host does in the background itself. The history of tasks is cleared by the queue.

import { sql, type TaskRecord } from '../contract/index.ts'
import type { UnitDefinition } from '../kernel/index.ts'
import { hostUnit, type UnitParts } from './unit.ts'

/** No plugin can have this id. */
const owner = 'host'

/** Once a day it counts what there is; a change of the master key has it run at once. */
const rewrapName = 'rewrap-sealed'
export const rewrapTask = `${owner}/${rewrapName}`

export const createHostTasks = ({ opened }: Pick<UnitParts, 'opened'>): readonly TaskRecord[] => [
  {
    kind: 'cron', name: 'expired-sessions', expression: '17 * * * *', options: {},
    handler: async ({ tx, log }) => {
      const { rowCount } = await tx.query(sql.unsafe`delete from auth_sessions where expires_at < now()`)
      log.debug({ rowCount }, 'sessions that had expired are gone')
    }
  },
  {
    // Their owner may want to see for a while why a program was turned away.
    kind: 'cron', name: 'expired-tokens', expression: '23 3 * * *', options: {},
    handler: async ({ tx, log }) => {
      const { rowCount } = await tx.query(sql.unsafe`delete from api_tokens where expires_at < now() - interval '30 days'`)
      log.debug({ rowCount }, 'tokens that had expired a month ago are gone')
    }
  },
  {
    kind: 'cron', name: rewrapName, expression: '41 4 * * *', options: { timeout: '1h' },
    handler: ({ signal }) => opened.keys.rewrap(signal)
  }
]

export function createHostTasksUnit (parts: UnitParts): UnitDefinition {
  const { opened, log } = parts
  return hostUnit(parts)('host tasks', ['host', 'tasks'], async ({ undo }) => {
    const tasks = createHostTasks(parts)
    const end = await opened.tasks.register({ plugin: owner, log: log.child({ plugin: owner }), tasks, postgres: opened.postgres })
    opened.keys.wake()
    undo('end', () => end({ atOnce: true }))
  })
}
