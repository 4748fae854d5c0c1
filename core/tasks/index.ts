// Background work: ticks and jobs are run by one replica of all, ticks on request by each for itself; events are jobs of those who subscribe.

import { randomUUID } from 'node:crypto'
import { NotFound, ServiceUnavailable, type OpenParts, type Resource, type TaskOperation } from '../contract/index.ts'
import { createTaskOperation } from './queue/history.ts'
import { openLookout } from './queue/queue-poller.ts'
import { openQueues, refuseAway, type Queues, type QueueSettings } from './queue/queue.ts'
import { createSender, type Sender } from './queue/send.ts'
import { retryPolicyOf } from './queue/task-definition.ts'
import { createRegister, type End, type Registration, type Shared, type Ticked } from './register.ts'
import { watchOffset } from './schedule/database-clock.ts'

export type { Registration }

export interface TaskRunner extends Sender, TaskOperation {
  /**
   * Resolves once every task is scheduled and every queue is worked, with the undo: it claims no more, tells what runs, waits for it as long as
   * the drain, `atOnce` for a moment only, and gives back what is not over by then. Throws `InvalidTasks`. The first run of a tick is at the next
   * tick, not now.
   */
  register (registration: Registration): Promise<End>
  /** Ends all that are registered, each as its own undo would. */
  drain (): Promise<void>
}

export interface TaskSettings extends QueueSettings {
  readonly drainMs: number
  /** Of two versions of a plugin. */
  readonly isNewer?: (version: string, than: string) => boolean
  /** What an error says, without secrets. */
  readonly mask?: (text: string) => string
}

const errorCharactersMax = 2_000

/** Opens nothing yet: the queue is imported and connected for the first task that is shared among replicas. */
export async function openTasks (
  { drainMs, isNewer = () => false, mask = text => text, ...settings }: TaskSettings, { log, clock }: OpenParts
): Promise<Resource<TaskRunner>> {
  let opening: Promise<Shared> | undefined
  const open = async (): Promise<Shared> => {
    const queues = await openQueues(settings, log)
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
  /** For a caller, who is told what it means for the request. */
  const reach = async (): Promise<Queues> => {
    try {
      return (await shared()).queues
    } catch (cause) {
      throw new ServiceUnavailable('The task queue is away.', { cause })
    }
  }
  // Kept as JSON in the database, which takes no NUL, and no half of a surrogate pair that the cut may leave.
  const describe = (error: unknown): string =>
    mask(Error.isError(error) ? `${error.name}: ${error.message}` : String(error)).slice(0, errorCharactersMax).toWellFormed().replaceAll('\0', '\ufffd')
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
      // Who wanted the queue has heard why it did not open.
      const open = await opening?.catch(() => undefined)
      await open?.lookout.close()
      await open?.offset.close()
      await open?.queues.close()
    }
  }
}
