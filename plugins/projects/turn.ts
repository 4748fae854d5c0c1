// Limits how many requests run the same work at once; the others wait for their turn in this process. If they waited in
// the database, each would hold a connection that others need. Each replica limits on its own; between replicas the row
// locks apply.

import { ServiceUnavailable } from 'bulkhead'
import type { Clock } from 'bulkhead'

/**
 * Runs `work` when its turn among all work of the same key has come. Rejects with `ServiceUnavailable` after waiting
 * 25 s, or when 5,000 wait already.
 */
export type TakeTurn = <T>(key: string, work: () => Promise<T>) => Promise<T>

export const waitMs = 25_000
const waitingMax = 5_000

interface Waiter { readonly fromMs: number, readonly settle: (isInTime: boolean) => void }
interface Queue { running: number, readonly waiting: Waiter[] }

export function createTurns (clock: Clock, atOnce: number): TakeTurn {
  const queues = new Map<string, Queue>()

  const wait = async ({ waiting }: Queue): Promise<void> => {
    const isInTime = waiting.length < waitingMax && await new Promise<boolean>(resolve => {
      waiting.push({ fromMs: clock.now(), settle: resolve })
    })
    if (!isInTime) throw new ServiceUnavailable('There is more to be added here than can be at the moment. Try again later.', { retryAfterMs: 5_000 })
  }

  /** Passes the place of finished work to the next waiter. */
  const leave = (key: string, queue: Queue): void => {
    for (let waiter = queue.waiting.shift(); waiter !== undefined; waiter = queue.waiting.shift()) {
      const isInTime = clock.now() - waiter.fromMs < waitMs
      waiter.settle(isInTime)
      if (isInTime) return
    }
    queue.running--
    if (queue.running === 0) queues.delete(key)
  }

  return async (key, work) => {
    const queue = queues.get(key) ?? { running: 0, waiting: [] }
    queues.set(key, queue)
    if (queue.running < atOnce) queue.running++
    else await wait(queue)
    try {
      return await work()
    } finally {
      leave(key, queue)
    }
  }
}
