// Gives look-ups for unknown callers their turns, so that a flood of invented tokens or names leaves the database to those who are known.

import { TooManyRequests } from '../../contract/index.ts'
import type { Clock } from '../../contract/index.ts'

/** At a few milliseconds each, thousands a second. */
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

  /** `TooManyRequests`, before `work` begins, when too many wait already or the turn does not come in time. */
  async run<Result> (work: () => Promise<Result>): Promise<Result> {
    if (this.#underWay < underWayMax) this.#underWay++
    else await this.#turn()
    try {
      return await work()
    } finally {
      this.#pass()
    }
  }

  /** The one that waited longest takes over the place, so the count stays. */
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
