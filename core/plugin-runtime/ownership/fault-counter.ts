// Counts what a plugin's code threw where nobody waited for it: too many of them in a while, and the plugin is not well.

import { asError, describe } from '../../kernel/index.ts'

export interface FaultLimit {
  /** More than so many within the window. */
  readonly max: number
  readonly windowMs: number
}

export class TooManyFaults extends Error {
  readonly code = 'BULKHEAD_TOO_MANY_FAULTS'

  constructor ({ max, windowMs }: FaultLimit, last: unknown) {
    super(`more than ${max} of its errors were caught by nobody within ${windowMs / 1_000} s, the last one: ${describe(asError(last))}`, { cause: last })
    this.name = 'TooManyFaults'
  }
}

export class FaultCounter {
  readonly #limit: FaultLimit
  #times: number[] = []

  constructor (limit: FaultLimit) {
    this.#limit = limit
  }

  /** Whether this one was too many; the count then begins anew. */
  count (nowMs: number): boolean {
    this.#times = [...this.#times.filter(atMs => atMs > nowMs - this.#limit.windowMs), nowMs]
    if (this.#times.length <= this.#limit.max) return false
    this.#times = []
    return true
  }
}
