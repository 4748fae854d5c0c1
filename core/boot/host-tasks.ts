// Declares the host's own background tasks: expiry, re-wrapping and archiving. The queue itself clears the history of tasks.

import type { Settings } from '../../config/schema.ts'
import { archive, type ArchiveParts, type Source } from '../archive/archiver.ts'
import { sql } from '../contract/index.ts'
import type { TaskRecord } from '../handover/task-record.ts'
import type { KeyRotation } from '../encryption/index.ts'
import type { UnitDefinition } from '../kernel/index.ts'
import type { HostUnits } from './host-units.ts'
import type { ResourceUnits } from './resource-units.ts'
import { hostUnit, type UnitParts } from './unit-context.ts'

/** No plugin can have this id. */
const owner = 'host'

const rewrapName = 'rewrap-sealed'
export const rewrapTask = `${owner}/${rewrapName}`

const expiries: readonly TaskRecord[] = [
  {
    kind: 'cron', name: 'expired-sessions', expression: '17 * * * *', options: {},
    handler: async ({ tx, log }) => {
      const { rowCount } = await tx.query(sql.unsafe`delete from public.auth_sessions where expires_at < now()`)
      // Sign-in attempts, also those with names that no user has, remove some expired counters. After the last attempt, only this task does.
      const { rowCount: limits } = await tx.query(sql.unsafe`delete from bulkhead.rate_limit where ends_at < now()`)
      log.debug({ rowCount, limits }, 'expired sessions and attempt counters were deleted')
    }
  },
  {
    // Expired tokens stay for a month, so that their owner can see why a program was refused.
    kind: 'cron', name: 'expired-tokens', expression: '23 3 * * *', options: {},
    handler: async ({ tx, log }) => {
      const { rowCount } = await tx.query(sql.unsafe`delete from public.api_tokens where expires_at < now() - interval '30 days'`)
      log.debug({ rowCount }, 'tokens that expired more than a month ago were deleted')
    }
  }
]

/** This task seals data under an old key again and counts what is left. It runs once a day, and at once after a change of the master key. */
const rewrapping = (keys: Pick<KeyRotation, 'rewrap'>): TaskRecord => ({
  kind: 'cron', name: rewrapName, expression: '41 4 * * *', options: { timeout: '1h' },
  handler: ({ signal }) => keys.rewrap(signal)
})

/** A run that reaches its time-out is continued in the next hour, from where it stopped. */
const archiving = (name: string, expression: string, parts: ArchiveParts, source: Source, olderThanDays: number): TaskRecord[] =>
  olderThanDays === 0 ? [] : [{
    kind: 'cron', name, expression, options: { timeout: '50m' },
    handler: async ({ signal, log }) => { await archive(parts, { source, olderThanDays, signal, log }) }
  }]

interface HostTaskParts extends ArchiveParts { readonly keys: Pick<KeyRotation, 'rewrap'> }

export const createHostTasks = ({ keys, ...parts }: HostTaskParts, { auditDays, logDays }: Settings['archive']): readonly TaskRecord[] => [
  ...expiries,
  rewrapping(keys),
  ...archiving('archive-audit', '41 * * * *', parts, 'audit_log', auditDays),
  ...archiving('archive-log', '51 * * * *', parts, 'log_entries', logDays)
]

type HostTaskUnits = Pick<ResourceUnits, 'postgres' | 'tasks' | 'storage'> & Pick<HostUnits, 'access' | 'encryption'>

export function createHostTasksUnit (parts: UnitParts, { postgres, tasks, storage, access, encryption }: HostTaskUnits): UnitDefinition {
  const { loaded: { settings }, log } = parts
  return hostUnit(parts)('host tasks', { postgres, tasks, storage, access, encryption }, async (given, { undo }) => {
    const { postgres: { host: postgres }, storage, encryption: { keys }, access: { access: { audit } } } = given
    const tasks = createHostTasks({ postgres, storage: storage.scoped(owner), audit, keys }, settings.archive)
    const end = await given.tasks.register({ plugin: owner, log: log.child({ plugin: owner }), tasks, postgres })
    keys.wake()
    undo('end', () => end({ atOnce: true }))
  })
}
