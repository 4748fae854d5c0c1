// Lets those who want the same row one after the other, here and not in the database: each who waited there would hold a connection that others need.

import { ServiceUnavailable } from 'bulkhead'
import type { Clock } from 'bulkhead'

export type TakeTurn = <T>(key: string, work: () => Promise<T>) => Promise<T>

const waitMs = 15_000
const waitingMax = 5_000

interface Queue { last: Promise<unknown>, length: number }

/** Replicas know nothing of each other here: between them it is the row's lock that counts. */
export function createTurns (clock: Clock): TakeTurn {
  const queues = new Map<string, Queue>()

  return async (key, work) => {
    const queue = queues.get(key) ?? { last: Promise.resolve(), length: 0 }
    if (queue.length >= waitingMax) throw busy()
    const fromMs = clock.now()
    const turn = queue.last.then(() => {
      if (clock.now() - fromMs > waitMs) throw busy()
      return work()
    })
    queue.length++
    queue.last = turn.catch(() => { /* told to whoever asked */ })
    queues.set(key, queue)
    try {
      return await turn
    } finally {
      queue.length--
      if (queue.length === 0) queues.delete(key)
    }
  }
}

const busy = () => new ServiceUnavailable('There is more to be added to this project than it can take at the moment. Try again later.', { retryAfterMs: 5_000 })
