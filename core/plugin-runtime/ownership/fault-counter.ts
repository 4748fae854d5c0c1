// Counts the errors of a plugin's code that no caller caught. Too many within a time window mean that the plugin is unhealthy.

import { describeThrown } from '../../contract/thrown.ts'

export interface FaultLimit {
  /** More faults than this within the window exceed the limit. */
  readonly max: number
  readonly windowMs: number
}

export class TooManyFaults extends Error {
  readonly code = 'BULKHEAD_TOO_MANY_FAULTS'

  constructor ({ max, windowMs }: FaultLimit, last: unknown) {
    super(`more than ${max} of its errors were uncaught within ${windowMs / 1_000} s, the last one: ${describeThrown(last)}`, { cause: last })
    this.name = 'TooManyFaults'
  }
}

export class FaultCounter {
  readonly #limit: FaultLimit
  #times: number[] = []

  constructor (limit: FaultLimit) {
    this.#limit = limit
  }

  /** Counts a fault and returns whether it exceeds the limit. If it does, the count starts again at zero. */
  count (nowMs: number): boolean {
    this.#times = [...this.#times.filter(atMs => atMs > nowMs - this.#limit.windowMs), nowMs]
    if (this.#times.length <= this.#limit.max) return false
    this.#times = []
    return true
  }
}
