// The alarm serves any number of deadlines with one sleeper: a thousand units cost a thousand list entries, not a thousand timers.

import type { Clock } from '../contract/clock.ts'

interface Entry {
  readonly atMs: number
  /** Undefined once it has rung or was cancelled. */
  ring: (() => void) | undefined
}

// The longest delay of a timer. A later deadline is reached in several sleeps.
const longestSleepMs = 2 ** 31 - 1

export class Alarm {
  readonly #clock: Clock
  // Sorted, earliest first. A cancelled entry stays until its time comes, or until no live entry is left.
  #entries: Entry[] = []
  #live = 0
  #sleeper: { readonly untilMs: number, readonly controller: AbortController } | undefined

  constructor (clock: Clock) {
    this.#clock = clock
  }

  /**
   * Calls `ring` once, asynchronously, at `atMs` or as soon as possible after it. Calling the returned function first
   * cancels it.
   */
  at (atMs: number, ring: () => void): () => void {
    const entry: Entry = { atMs, ring }
    this.#insert(entry)
    this.#live += 1
    this.#sleep()
    return () => {
      if (entry.ring === undefined) return
      entry.ring = undefined
      this.#live -= 1
      this.#sleep()
    }
  }

  #insert (entry: Entry): void {
    let from = 0
    let to = this.#entries.length
    while (from < to) {
      const middle = (from + to) >>> 1
      if ((this.#entries[middle] as Entry).atMs <= entry.atMs) from = middle + 1
      else to = middle
    }
    this.#entries.splice(from, 0, entry)
  }

  // Keeps the sleeper no later than the first entry; waking too early does no harm.
  #sleep (): void {
    if (this.#live === 0) this.#entries = []
    const first = this.#entries[0]
    if (first !== undefined && this.#sleeper !== undefined && this.#sleeper.untilMs <= first.atMs) return
    this.#sleeper?.controller.abort()
    this.#sleeper = undefined
    if (first === undefined) return
    const sleeper = this.#sleeper = { untilMs: first.atMs, controller: new AbortController() }
    const ms = Math.min(Math.max(0, first.atMs - this.#clock.now()), longestSleepMs)
    this.#clock.sleep(ms, sleeper.controller.signal).then(() => {
      if (this.#sleeper === sleeper) this.#wake()
    }, (error: unknown) => {
      if (this.#sleeper === sleeper) throw error
    })
  }

  #wake (): void {
    this.#sleeper = undefined
    const now = this.#clock.now()
    for (let first = this.#entries[0]; first !== undefined && (first.ring === undefined || first.atMs <= now); first = this.#entries[0]) {
      this.#entries.shift()
      if (first.ring === undefined) continue
      const ring = first.ring
      first.ring = undefined
      this.#live -= 1
      ring()
    }
    this.#sleep()
  }
}
