// Takes a plugin's tasks into this replica: its ticks are followed, its queues worked, its events heard; and lets go of them in order.

import { randomUUID } from 'node:crypto'
import type { Clock, Log, Postgres, TaskRecord } from '../contract/index.ts'
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
  /** The plugin's own handle, where it has one: its handlers' transactions are made with it. */
  readonly postgres?: Postgres | undefined
}

/** What all replicas share. */
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
  /** What an error says, as it is kept. */
  readonly describe: (error: unknown) => string
  /** What this replica ticks for all of them, by name. */
  readonly ticked: Map<string, Ticked>
}

/** For the runs of a plugin that is to end without a drain. */
const momentMs = 1_000

export type End = (how?: { readonly atOnce: boolean }) => Promise<void>

export interface Register {
  register (registration: Registration): Promise<End>
  has (plugin: string): boolean
  /** Ends all that are registered; whoever ends one of them later joins. Never rejects. */
  drain (): Promise<void>
}

export function createRegister ({ shared, clock, drainMs, isNewer, describe, ticked }: RegisterDeps): Register {
  /** By plugin. */
  const ends = new Map<End, string>()
  /** Aborts when the drain is over after `stop`. */
  const overdue = (stop: AbortSignal): { signal: AbortSignal, forget: () => void } => {
    const abandon = new AbortController()
    const over = new AbortController()
    const begin = (): void => {
      void clock.sleep(drainMs, over.signal).then(() => abandon.abort(stop.reason), () => { /* It was over in time. */ })
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
    (thrown as { code?: unknown } | null | undefined)?.code === 'BULKHEAD_INPUT_UNFIT' && !isScheduled(plan) && plan.version !== undefined &&
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
        // A tick that failed is not tried again: the next one is. A run that was lost is.
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
      // Replicas agree on the instants of ticks by the database's time.
      loops.push(tick({ clock: { now: offset.now, sleep: clock.sleep.bind(clock) }, next, due, failed, stop: stop.signal }))
    }
    ends.set(end, plugin)
    return end
  }

  return {
    register,
    has: plugin => [...ends.values()].includes(plugin),
    // Whoever ends it is told what failed.
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
