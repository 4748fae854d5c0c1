// Queues lookups for unknown callers, so that a flood of invented tokens or names leaves the database
// to known users.

import { TooManyRequests } from '../../contract/index.ts'
import type { Clock } from '../../contract/index.ts'

/** Lookups at the same time. At a few milliseconds each, these are thousands a second. */
const underWayMax = 16
const waitingMax = 1_000
const waitMaxMs = 5_000

export class LookupLimit {
  readonly #clock: Clock
  readonly #waiting: (() => void)[] = []
  #underWay = 0

  constructor ({ clock }: { clock: Clock }) {
    this.#clock = clock
  }

  /**
   * Runs `work` when its turn comes. Throws `TooManyRequests`, before `work` begins,
   * when too many callers wait already or the turn does not come in time.
   */
  async run<Result> (work: () => Promise<Result>): Promise<Result> {
    if (this.#underWay < underWayMax) this.#underWay++
    else await this.#turn()
    try {
      return await work()
    } finally {
      this.#pass()
    }
  }

  /** The caller that waited longest takes over the place, so `#underWay` stays the same. */
  #pass (): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#underWay--
    else next()
  }

  #turn (): Promise<void> {
    if (this.#waiting.length >= waitingMax) return Promise.reject(tooMany())
    const latestMs = this.#clock.now() + waitMaxMs
    return new Promise((resolve, reject) => {
      this.#waiting.push(() => {
        if (this.#clock.now() <= latestMs) { resolve(); return }
        reject(tooMany())
        this.#pass()
      })
    })
  }
}

const tooMany = (): TooManyRequests =>
  new TooManyRequests('Too many unknown callers are being looked up at this moment. Try again shortly.', { retryAfterMs: 1_000 })
