// A replica as a process of its own, for proofs that kill and freeze it: `survivor-process.ts <database URL> <kind> [interval]`.

import { setTimeout as sleep } from 'node:timers/promises'
import { sql, z, type Duration, type Postgres, type QueueHandler } from '../../core/contract/index.ts'
import type { TaskRecord } from '../../core/handover/task-record.ts'
import { openPostgres } from '../../core/resources/postgres/postgres-resource.ts'
import { openTasks } from '../../core/tasks/index.ts'
import { createLog, openParts } from '../support/part.ts'
import { connectTasks, postgresSettings } from '../support/postgres.ts'

const [, , url = '', kind = '', interval = '5s'] = process.argv

const effect = (id: string, attempt: number) => sql.unsafe`insert into public.effect (job, attempt) values (${id}, ${attempt})`

/** Effects through `tx` are in `effect`, those outside of any transaction in `outside`. */
const kinds: Record<string, (postgres: Postgres) => TaskRecord[]> = {
  steady: postgres => [queue('steady', async ({ id, attempt, tx }) => {
    await tx.query(effect(id, attempt))
    await postgres.query(sql.unsafe`insert into public.outside (job, attempt) values (${id}, ${attempt})`)
    // In the middle of the effect: this is where they are killed.
    await sleep(30)
    await tx.query(sql.unsafe`update public.effect set is_whole = true where job = ${id}`)
  }, { retry: { limit: 50 }, concurrency: 4 })],

  /** The first attempt never ends by itself. */
  holding: postgres => [queue('held', async ({ id, attempt }) => {
    await postgres.query(effect(id, attempt))
    if (attempt === 1) await sleep(60_000)
  }, {})],

  ticking: () => [{
    kind: 'every', name: 'tick', interval: interval as Duration, options: { once: 'cluster' },
    handler: async ({ id, attempt, tx }) => {
      await tx.query(effect(id, attempt))
      console.log('in the middle')
      await sleep(300)
    }
  }],

  poisoned: () => [queue('mixed', async ({ input, id, attempt, tx }: { input: unknown, id: string, attempt: number, tx: Parameters<QueueHandler>[0]['tx'] }) => {
    if (input === 'throw') throw new Error('x'.repeat(10_000_000))
    if (input === 'hang') await Promise.withResolvers().promise
    if (input === 'kill') process.kill(process.pid, 'SIGKILL')
    if (input === 'effect') await tx.query(effect(id, attempt))
  }, { retry: { limit: 2, backoff: 'fixed', delay: '100ms' }, concurrency: 20, timeout: '1s' })]
}

function queue (name: string, handler: QueueHandler<never>, options: object): TaskRecord {
  return { kind: 'queue', name, options: { input: z.unknown(), ...options }, handler: handler as QueueHandler }
}

if (import.meta.main) {
  const log = createLog()
  const patience = { connectTimeoutMs: 20_000, acquireTimeoutMs: 20_000 }
  const { value: client } = await openPostgres({ ...postgresSettings, ...patience, url, poolMax: 10 }, openParts())
  const postgres = client.scoped('crew')
  const { value: tasks } = await openTasks({ connections: connectTasks(url), maxConnections: 3, historyHours: 1, drainMs: 5_000 }, openParts())
  await tasks.register({ plugin: 'crew', log, tasks: kinds[kind]?.(postgres) ?? [], postgres })
  console.log('ready')
}
