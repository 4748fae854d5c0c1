// Bounds how many requests one user may have under way, so that a user with slow requests leaves room for the others.

import { TooManyRequests } from '../contract/index.ts'
import type { Exchange } from './exchange.ts'

export interface UserLimit {
  /** Counts the request for its caller until the result is called. `TooManyRequests` when that caller has as many under way as is allowed. */
  begin (exchange: Exchange, userId: string): () => void
}

const retryAfterMs = 1_000

/**
 * A request counts until its handler is done, also when its client has gone: the work goes on. It counts no more once its answer has begun (a stream
 * may go on for hours), or when its time was up (a handler that never ends must not shut its caller out).
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
