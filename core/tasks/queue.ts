// pg-boss: hands each tick to one replica, and to another when that one dies. The only file that knows it.

import type { JobWithMetadata, PgBoss } from 'pg-boss'
import type { Log } from '../contract/index.ts'
import type { Attempt, Outcome } from './run.ts'
import { tickId } from './tick.ts'

export interface QueueSettings {
  readonly url: string
  readonly maxConnections: number
}

export interface Queues {
  /** Takes part in a queue: works what any replica put into it, one at a time. */
  join (name: string, timeoutMs: number, work: (attempt: Attempt) => Promise<Outcome>): Promise<Membership>
  check (signal: AbortSignal): Promise<void>
  close (): Promise<void>
}

export interface Membership {
  /** Puts the tick into the queue unless another replica has, or the tick before it is not done; then looks for work at once. */
  offer (atMs: number): Promise<void>
  /** Resolves once what runs here is over. */
  leave (): Promise<void>
}

/** A replica that says nothing for so long has lost its run. 10 is the least that pg-boss takes. */
const heartbeatSeconds = 10
/** How often a lost run is looked for. */
const monitorSeconds = 5
/** Finds what no tick of this replica announced: a run that another one lost. */
const pollSeconds = 10
/** The row of a tick stands in the way of its twin, so it must outlive any difference between two replicas' clocks. */
const keepSeconds = 3_600
/** A handler that minds its signal is back by then, so this ends only the claim of one that does not. */
const heedMs = 5_000
const callTimeoutMs = 10_000
/** Of the five seconds or more that the host gives to stop, at most. */
const closeTimeoutMs = 5_000

/** Imports pg-boss, connects, and brings the schema `pgboss` up to date. */
export async function openQueues ({ url, maxConnections }: QueueSettings, log: Log): Promise<Queues> {
  const { PgBoss } = await import('pg-boss')
  // Those after `max` are for the pool underneath; without them a silent network holds a call for ever.
  const options = {
    connectionString: url,
    application_name: 'bulkhead tasks',
    max: maxConnections,
    connectionTimeoutMillis: callTimeoutMs,
    query_timeout: callTimeoutMs,
    keepAlive: true,
    schema: 'pgboss',
    schedule: false,
    registerInstance: false,
    superviseIntervalSeconds: monitorSeconds,
    monitorIntervalSeconds: monitorSeconds,
    maintenanceIntervalSeconds: 600
  }
  const boss = new PgBoss(options)
  boss.on('error', err => log.error({ err }, 'a call of the task queue failed'))
  boss.on('warning', ({ message, data }) => log.warn({ data }, message))
  try {
    await boss.start()
  } catch (cause) {
    await boss.stop({ graceful: false })
    throw new Error('The task queue did not start: its schema "pgboss" could not be read or brought up to date', { cause })
  }
  return {
    join: (name, timeoutMs, work) => join(boss, name, timeoutMs, work),
    check: signal => check(boss, signal),
    close: () => boss.stop({ graceful: true, timeout: closeTimeoutMs })
  }
}

/** The ticks of a cron expression, read by pg-boss's own parser; rejects with a sentence about an expression or a zone that is malformed. */
export async function readCron (cron: string, timezone: string): Promise<(afterMs: number) => number> {
  const { PgBoss } = await import('pg-boss')
  const parser = new PgBoss({ connectionString: 'postgres://never-connected' })
  const next = (afterMs: number): number => {
    const [at] = parser.previewSchedule(cron, { tz: timezone, from: new Date(afterMs), count: 1 })
    if (at === undefined) throw new Error('is never due')
    return at.getTime()
  }
  next(0)
  return next
}

async function join (boss: PgBoss, name: string, timeoutMs: number, work: (attempt: Attempt) => Promise<Outcome>): Promise<Membership> {
  // One job that waits or runs, in the whole cluster: a tick that comes while the one before still runs is left out.
  await boss.createQueue(name, { policy: 'exclusive' })
  const terms = {
    expireInSeconds: Math.ceil((timeoutMs + heedMs) / 1000),
    heartbeatSeconds,
    retryLimit: 3,
    retentionSeconds: keepSeconds,
    deleteAfterSeconds: keepSeconds
  }
  const worker = await boss.work(name, { includeMetadata: true, perJobResults: true, pollingIntervalSeconds: pollSeconds },
    async (jobs: JobWithMetadata[]) => Promise.all(jobs.map(async ({ id, retryCount }) => {
      const outcome = await work({ attemptId: `${id}.${retryCount}`, attempt: retryCount + 1 })
      // A failed run is not tried again: the next tick is. One that was stopped is, elsewhere.
      return { id, status: outcome === 'done' ? 'completed' as const : outcome === 'failed' ? 'deadletter' as const : 'failed' as const }
    })))
  return {
    offer: async atMs => {
      await boss.send(name, {}, { ...terms, id: tickId(name, atMs) })
      boss.notifyWorker(worker)
    },
    leave: () => boss.offWork(name, { id: worker, wait: true })
  }
}

async function check (boss: PgBoss, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const gaveUp = Promise.withResolvers()
  const giveUp = (): void => gaveUp.reject(signal.reason as Error)
  signal.addEventListener('abort', giveUp, { once: true })
  try {
    await Promise.race([boss.getDb().executeSql('SELECT 1'), gaveUp.promise])
  } finally {
    signal.removeEventListener('abort', giveUp)
  }
}
