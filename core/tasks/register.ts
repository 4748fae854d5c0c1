// Registers a plugin's tasks in this replica: starts its ticks and queue workers, sets its event subscriptions, and later ends ticks and workers.

import { randomUUID } from 'node:crypto'
import { InputUnfit, type Clock, type Log, type Postgres } from '../contract/index.ts'
import type { TaskRecord } from '../handover/task-record.ts'
import type { QueuePoller } from './queue/queue-poller.ts'
import type { Claim, Queues } from './queue/queue.ts'
import { eventQueue, InvalidTasks, isScheduled, keyedQueue, readTasks, retryDelay, retryPolicyOf, type TaskDefinition, type ScheduledDefinition } from './queue/task-definition.ts'
import { readCron } from './schedule/cron.ts'
import type { Offset } from './schedule/database-clock.ts'
import { everyTick, tick, tickId } from './schedule/tick.ts'
import { createDeadlines, type Deadlines } from './worker/run-deadline.ts'
import { run, type RunInput } from './worker/run.ts'
import { aheadReturnsMax, startWorker, type Worker } from './worker/worker.ts'

export interface Registration {
  readonly plugin: string
  /** The plugin's own log. */
  readonly log: Log
  readonly tasks: readonly TaskRecord[]
  /** The plugin's own database handle, if it has one; it opens the transactions of the handlers. */
  readonly postgres?: Postgres | undefined
}

/** Parts that all registrations in this replica share. */
export interface Shared {
  readonly queues: Queues
  readonly offset: Offset
  readonly lookout: QueuePoller
}

export interface Ticked {
  readonly plan: ScheduledDefinition
  readonly worker: Worker
}

interface RegisterDeps {
  readonly shared: () => Promise<Shared>
  readonly clock: Clock
  readonly drainMs: number
  readonly isNewer: (version: string, than: string) => boolean
  /** Returns the text of an error as it is stored. */
  readonly describe: (error: unknown) => string
  /** This replica's scheduled tasks that run once in the cluster, by name. */
  readonly ticked: Map<string, Ticked>
}

/** Milliseconds that running handlers get when their plugin ends without a drain. */
const momentMs = 1_000

export type End = (how?: { readonly atOnce: boolean }) => Promise<void>

export interface Register {
  register (registration: Registration): Promise<End>
  has (plugin: string): boolean
  /** Ends all registrations; a caller that ends one of them later joins the same end. Never rejects. */
  drain (): Promise<void>
}

export function createRegister ({ shared, clock, drainMs, isNewer, describe, ticked }: RegisterDeps): Register {
  /** End functions of the current registrations, each with the id of its plugin. */
  const ends = new Map<End, string>()
  /** Returns a signal that aborts `drainMs` after `stop`, and a function that releases its timer and listener. */
  const overdue = (stop: AbortSignal): { signal: AbortSignal, forget: () => void } => {
    const abandon = new AbortController()
    const over = new AbortController()
    const begin = (): void => {
      void clock.sleep(drainMs, over.signal).then(() => abandon.abort(stop.reason), () => { /* The run was over in time. */ })
    }
    stop.addEventListener('abort', begin, { once: true })
    return { signal: abandon.signal, forget: () => { stop.removeEventListener('abort', begin); over.abort() } }
  }

  interface Place {
    readonly queues: Queues
    readonly log: Log
    readonly postgres: Postgres | undefined
    readonly deadlines: Deadlines
    readonly stop: AbortSignal
  }
  const isAhead = (plan: TaskDefinition, { sentBy, returns }: Claim) => (thrown: unknown): boolean =>
    (thrown as { code?: unknown } | null | undefined)?.code === InputUnfit.code && !isScheduled(plan) && plan.version !== undefined &&
    sentBy !== undefined && returns < aheadReturnsMax && isNewer(sentBy, plan.version)
  const work = async (plan: TaskDefinition, { queues, log, postgres, deadlines, stop }: Place): Promise<Worker> => {
    const isTick = isScheduled(plan)
    const keyed = isTick ? undefined : keyedQueue(plan.name)
    await queues.ensure(plan.name, isTick ? 'exclusive' : 'standard')
    if (keyed !== undefined) await queues.ensure(keyed, 'key_strict_fifo')
    return startWorker({
      queues, clock, log, keyed,
      name: plan.name,
      sources: keyed === undefined ? [plan.name] : [plan.name, keyed],
      concurrency: isTick ? 1 : plan.concurrency,
      run: (claim, abandon) => run(plan, attemptOf(queues, claim, isAhead(plan, claim)), { log, clock, deadlines, postgres, stop, abandon }),
      fail: async (claim, error) => {
        // A failed tick is not retried, because the next tick follows anyway. A tick whose run was lost is retried.
        if (isTick) await queues.complete(claim.queue, [claim], { message: describe(error) })
        else await queues.fail(claim, describe(error), retryDelay(plan.retry, claim.retryCount + 1))
      }
    })
  }

  const register = async ({ plugin, log, tasks, postgres }: Registration): Promise<End> => {
    const plans = readTasks(plugin, tasks)
    const nexts = await readTicks(plugin, plans)
    const stop = new AbortController()
    const workers = new Map<TaskDefinition, Worker>()
    const deadlines = new Set<Deadlines>()
    const deadlinesOf = (plan: TaskDefinition): Deadlines => {
      const own = createDeadlines(clock, plan.timeoutMs)
      deadlines.add(own)
      return own
    }
    const loops: Promise<void>[] = []
    const undo: (() => void)[] = []
    let ending: Promise<void> | undefined
    const end: End = ({ atOnce } = { atOnce: false }) => (ending ??= endOnce(atOnce ? Math.min(momentMs, drainMs) : drainMs))
    const endOnce = async (withinMs: number): Promise<void> => {
      ends.delete(end)
      for (const step of undo) step()
      stop.abort(new Error(`Plugin "${plugin}" ends`))
      const results = await Promise.allSettled([...loops, ...[...workers.values()].map(worker => worker.leave(withinMs))])
      for (const { close } of deadlines) close()
      const failures = results.flatMap(result => result.status === 'rejected' ? [result.reason as unknown] : [])
      if (failures.length > 0) throw new AggregateError(failures, `tasks of plugin "${plugin}" could not be ended in order`)
    }
    try {
      for (const plan of plans) {
        if (isScheduled(plan) && plan.once === 'replica') continue
        const { queues, lookout } = await shared()
        const worker = await work(plan, { queues, log, postgres, deadlines: deadlinesOf(plan), stop: stop.signal })
        workers.set(plan, worker)
        undo.push(lookout.watch(worker))
      }
      if (workers.size > 0) {
        const { queues } = await shared()
        const events = tasks.filter(({ kind }) => kind === 'event').map(({ name }) => [name, eventQueue(plugin, name)] as const)
        await queues.setSubscriptions(eventQueue(plugin, ''), new Map(events))
      }
    } catch (error) {
      await end({ atOnce: true })
      throw error
    }
    for (const [plan, next] of nexts) {
      const worker = workers.get(plan)
      const failed = (err: unknown, afterMs: number): void => logNoTick(log, plan, err, afterMs)
      if (worker === undefined) {
        const own = deadlinesOf(plan)
        const due = async (): Promise<void> => {
          const id = randomUUID()
          const { signal: abandon, forget } = overdue(stop.signal)
          await run(plan, { id, attemptId: id, attempt: 1 }, { log, clock, deadlines: own, postgres, stop: stop.signal, abandon }).finally(forget)
        }
        loops.push(tick({ clock, next, due, failed, stop: stop.signal }))
        continue
      }
      const { queues, offset } = await shared()
      ticked.set(plan.name, { plan, worker })
      undo.push(() => { if (ticked.get(plan.name)?.plan === plan) ticked.delete(plan.name) })
      const due = async (atMs: number): Promise<void> => {
        try {
          await queues.send(plan.name, { id: tickId(plan.name, atMs), ...retryPolicyOf(plan) })
          worker.wake()
        } catch (err) {
          log.error({ err, task: plan.name }, `a tick of task "${plan.name}" was not queued`)
        }
      }
      // Ticks follow the database's time, so that all replicas agree on their instants.
      loops.push(tick({ clock: { now: offset.now, sleep: clock.sleep.bind(clock) }, next, due, failed, stop: stop.signal }))
    }
    ends.set(end, plugin)
    return end
  }

  return {
    register,
    has: plugin => [...ends.values()].includes(plugin),
    // A failure also reaches the caller of `end`, which shares the promise.
    drain: async () => { await Promise.allSettled([...ends.keys()].map(end => end())) }
  }
}

const attemptOf = (queues: Queues, claim: Claim, isAhead: (thrown: unknown) => boolean): RunInput => ({
  id: claim.id,
  attemptId: `${claim.id}.${claim.retryCount}`,
  attempt: claim.retryCount + 1,
  input: claim.input,
  isAhead,
  completeIn: tx => queues.completeIn(tx, claim)
})

const schedule = ({ ticks }: ScheduledDefinition): string => 'cron' in ticks ? `"${ticks.cron}" in ${ticks.timezone}` : `every ${ticks.everyMs} ms`

function logNoTick (log: Log, plan: ScheduledDefinition, err: unknown, afterMs: number): void {
  log.error({ err, task: plan.name, ...plan.ticks, after: new Date(afterMs) },
    `the next run of task "${plan.name}" (${schedule(plan)}) could not be computed: a later one is looked for, and those before it are left out`)
}

async function readTicks (plugin: string, plans: readonly TaskDefinition[]): Promise<Map<ScheduledDefinition, (afterMs: number) => number>> {
  const problems: string[] = []
  const nexts = new Map<ScheduledDefinition, (afterMs: number) => number>()
  for (const plan of plans) {
    if (!isScheduled(plan)) continue
    const { name, ticks } = plan
    try {
      nexts.set(plan, 'everyMs' in ticks ? everyTick(name, ticks.everyMs) : await readCron(ticks.cron, ticks.timezone))
    } catch (error) {
      problems.push(`task "${name.slice(plugin.length + 1)}": ${schedule(plan)} cannot be read: ${(error as Error).message}`)
    }
  }
  if (problems.length > 0) throw new InvalidTasks(plugin, problems)
  return nexts
}
