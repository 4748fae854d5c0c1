// Background work: each declared task is run at its ticks, by one replica of all or by each for itself.

import { randomUUID } from 'node:crypto'
import type { Log, OpenParts, Resource, TaskRecord } from '../contract/index.ts'
import { InvalidTasks, readTasks, type Plan } from './plan.ts'
import { openQueues, readCron, type Membership, type Queues, type QueueSettings } from './queue.ts'
import { run } from './run.ts'
import { everyTick, tick } from './tick.ts'

export interface Registration {
  readonly plugin: string
  /** The plugin's own log. */
  readonly log: Log
  readonly tasks: readonly TaskRecord[]
}

export interface TaskRunner {
  /**
   * Resolves once every task is scheduled, with the undo: it takes no more ticks and waits for what runs, which is aborted when it takes
   * longer than the drain, or `atOnce`. Throws `InvalidTasks`. The first run is at the next tick, not now.
   */
  register (registration: Registration): Promise<(how?: { readonly atOnce: boolean }) => Promise<void>>
}

/** Opens nothing yet: the queue is imported and connected for the first task that is shared among replicas. */
export async function openTasks (
  { drainMs, ...settings }: QueueSettings & { readonly drainMs: number }, { log: ownLog, clock }: OpenParts
): Promise<Resource<TaskRunner>> {
  let opening: Promise<Queues> | undefined
  const queues = (): Promise<Queues> => (opening ??= openQueues(settings, ownLog).catch((error: unknown) => {
    opening = undefined
    throw error
  }))

  const register: TaskRunner['register'] = async ({ plugin, log, tasks }) => {
    const plans = readTasks(plugin, tasks)
    const nexts = await readTicks(plugin, plans)
    const leaving = new AbortController()
    const ending = new AbortController()
    const parts = { log, clock, stop: ending.signal }
    const memberships = new Map<Plan, Membership>()
    const loops: Promise<void>[] = []
    const end = async ({ atOnce } = { atOnce: false }): Promise<void> => {
      leaving.abort()
      const over = new AbortController()
      const overdue = (atOnce ? Promise.resolve() : clock.sleep(drainMs, over.signal)).then(() => ending.abort(new Error(`Plugin "${plugin}" ends`)), () => { /* All is over in time. */ })
      await Promise.all([...loops, ...[...memberships.values()].map(membership => membership.leave())]).finally(() => over.abort())
      await overdue
    }
    try {
      for (const plan of plans.filter(({ once }) => once === 'cluster')) {
        memberships.set(plan, await (await queues()).join(plan.name, plan.timeoutMs, attempt => run(plan, attempt, parts)))
      }
    } catch (error) {
      await end()
      throw error
    }
    for (const [plan, next] of nexts) {
      const membership = memberships.get(plan)
      const due = membership === undefined
        ? async () => { await run(plan, { attemptId: randomUUID(), attempt: 1 }, parts) }
        : (atMs: number) => membership.offer(atMs).catch((err: unknown) => log.error({ err, task: plan.name }, `a tick of task "${plan.name}" was not queued`))
      loops.push(tick({ clock, next, due, stop: leaving.signal }))
    }
    return end
  }

  return {
    value: { register },
    check: async signal => { await (await opening)?.check(signal) },
    // Who wanted the queue has heard why it did not open.
    close: async () => { await (await opening?.catch(() => undefined))?.close() }
  }
}

async function readTicks (plugin: string, plans: readonly Plan[]): Promise<Map<Plan, (afterMs: number) => number>> {
  const problems: string[] = []
  const nexts = new Map<Plan, (afterMs: number) => number>()
  for (const plan of plans) {
    const { name, ticks } = plan
    try {
      nexts.set(plan, 'everyMs' in ticks ? everyTick(name, ticks.everyMs) : await readCron(ticks.cron, ticks.timezone))
    } catch (error) {
      const said = 'cron' in ticks ? `"${ticks.cron}" in ${ticks.timezone}` : 'its interval'
      problems.push(`task "${name.slice(plugin.length + 1)}": ${said} cannot be read: ${(error as Error).message}`)
    }
  }
  if (problems.length > 0) throw new InvalidTasks(plugin, problems)
  return nexts
}
