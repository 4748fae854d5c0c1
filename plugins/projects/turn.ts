// Limits how many requests run the same work at once; the others wait for their turn in this process. If they waited in
// the database, each would hold a connection that others need. Each replica limits on its own; between replicas the row
// locks apply.

import { createLimit, ServiceUnavailable } from 'bulkhead'
import type { Clock, Limit } from 'bulkhead'

/**
 * Runs `work` when its turn among all work of the same key has come. Rejects with `ServiceUnavailable` after waiting
 * 25 s, or when 5,000 wait already.
 */
export type TakeTurn = <T>(key: string, work: () => Promise<T>) => Promise<T>

export const waitMs = 25_000

export function createTurns (clock: Clock, atOnce: number): TakeTurn {
  const limits = new Map<string, Limit>()
  const refusal = (): Error =>
    new ServiceUnavailable('There is more to be added here than can be at the moment. Try again later.', { retryAfterMs: 5_000 })

  return async (key, work) => {
    const limit = limits.get(key) ?? createLimit({ clock, atOnce, waitingMax: 5_000, waitMs, refusal })
    limits.set(key, limit)
    try {
      return await limit.run(work)
    } finally {
      if (limit.isIdle && limits.get(key) === limit) limits.delete(key)
    }
  }
}
