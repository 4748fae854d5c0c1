// Limits how many requests one user may have under way, so that a user with slow requests leaves room for the others.

import { TooManyRequests } from '../contract/index.ts'
import type { Exchange } from './exchange.ts'

export interface UserLimit {
  /**
   * Counts the request for its user until the result is called. Throws `TooManyRequests` when that user is at the
   * limit.
   */
  begin (exchange: Exchange, userId: string): () => void
}

const retryAfterMs = 1_000

/**
 * A request counts until its handler is done, even when its client has disconnected, because the work continues. It no
 * longer counts once its answer has begun, because a stream may last for hours. It no longer counts once its time was
 * up either, because a handler that never ends must not lock its user out.
 */
export function createUserLimit ({ max, requestTimeoutMs, now }: { max: number, requestTimeoutMs: number, now: () => number }): UserLimit {
  const underWay = new Map<string, Set<Exchange>>()

  const forget = (exchanges: Set<Exchange>): void => {
    const latest = now() - requestTimeoutMs
    for (const exchange of exchanges) if (exchange.res.headersSent || exchange.startedAtMs < latest) exchanges.delete(exchange)
  }
  return {
    begin (exchange, userId) {
      const exchanges = underWay.get(userId) ?? new Set()
      if (exchanges.size >= max) forget(exchanges)
      if (exchanges.size >= max) throw new TooManyRequests(`You have ${max} requests under way. Wait until one of them is answered.`, { retryAfterMs })
      underWay.set(userId, exchanges.add(exchange))
      return () => {
        exchanges.delete(exchange)
        if (exchanges.size === 0 && underWay.get(userId) === exchanges) underWay.delete(userId)
      }
    }
  }
}
