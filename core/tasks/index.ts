// The task runner: one replica of the cluster runs each tick and each job. A task can ask for its ticks to run in every replica instead.
// An event becomes a job of each plugin that subscribes to it.

import { randomUUID } from 'node:crypto'
import { NotFound, ServiceUnavailable, type TaskOperation } from '../contract/index.ts'
import { boundText, describeThrown, readError } from '../contract/thrown.ts'
import type { OpenParts, Resource } from '../handover/resource.ts'
import { createTaskOperation } from './queue/history.ts'
import { openLookout } from './queue/queue-poller.ts'
import { openQueues } from './queue/pg-boss-queues.ts'
import { refuseAway, type Queues, type QueueSettings } from './queue/queue.ts'
import { createSender, type Sender } from './queue/send.ts'
import { retryPolicyOf } from './queue/task-definition.ts'
import { createRegister, type End, type Registration, type Shared, type Ticked } from './register.ts'
import { watchOffset } from './schedule/database-clock.ts'

export type { Registration }

export interface TaskRunner extends Sender, TaskOperation {
  /**
   * Schedules the tasks, starts the workers of their queues and returns the function that ends them. That function claims no more jobs, aborts
   * the signal of running handlers, waits for them for up to `drainMs` (with `atOnce` for a moment only) and gives back unfinished jobs.
   * Throws `InvalidTasks`. A scheduled task first runs at its next tick, not at registration.
   */
  register (registration: Registration): Promise<End>
  /** Ends all registrations, each as its own end function would. */
  drain (): Promise<void>
}

export interface TaskSettings extends QueueSettings {
  readonly drainMs: number
  /** Compares two versions of a plugin. */
  readonly isNewer?: (version: string, than: string) => boolean
  /** Removes secrets from the text of an error. */
  readonly mask?: (text: string) => string
}

const errorCharactersMax = 2_000

/** Opens nothing yet: the queue is imported and connected on first use, by a task that replicas share, a send or an operator's request. */
export async function openTasks (
  { drainMs, isNewer = () => false, mask = text => text, ...settings }: TaskSettings, { log, clock }: OpenParts
): Promise<Resource<TaskRunner>> {
  let opening: Promise<Shared> | undefined
  const open = async (): Promise<Shared> => {
    const queues = await openQueues(settings, { log, clock })
    try {
      const offset = await watchOffset({ ask: () => queues.now(), clock, log })
      return { queues, offset, lookout: openLookout({ queues, clock, log }) }
    } catch (error) {
      await queues.close()
      throw error
    }
  }
  const shared = (): Promise<Shared> => (opening ??= open().catch((error: unknown) => {
    opening = undefined
    throw error
  }))
  /** Opens the queue for a caller; a queue that cannot be opened becomes `ServiceUnavailable`. */
  const reach = async (): Promise<Queues> => {
    try {
      return (await shared()).queues
    } catch (cause) {
      throw new ServiceUnavailable('The task queue is unavailable.', { cause })
    }
  }
  // The text is stored as JSON in the database, which accepts neither NUL nor the half of a surrogate pair that the cut may leave.
  const describe = (error: unknown): string =>
    boundText(mask(`${readError(error)?.type ?? 'not an Error'}: ${describeThrown(error)}`), errorCharactersMax)
  const ticked = new Map<string, Ticked>()

  const runNow = async (task: string): Promise<string | undefined> => {
    const found = ticked.get(task)
    if (found === undefined) throw new NotFound(`No task that runs by the clock, once in the cluster, is called "${task}" here.`)
    const id = await (await reach()).send(task, { id: randomUUID(), ...retryPolicyOf(found.plan) }).catch(refuseAway)
    found.worker.wake()
    return id
  }
  const { register, drain, has } = createRegister({ shared, clock, drainMs, isNewer, describe, ticked })
  return {
    value: {
      register,
      drain,
      ...createSender(reach),
      ...createTaskOperation({ queues: reach, runNow, hasPlugin: has })
    },
    check: async signal => { await (await opening)?.queues.check(signal) },
    close: async () => {
      // When the queue did not open, the caller that needed it already got the error.
      const open = await opening?.catch(() => undefined)
      await open?.lookout.close()
      await open?.offset.close()
      await open?.queues.close()
    }
  }
}
