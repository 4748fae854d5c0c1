// Shares one lookup among concurrent callers of the same key. A lookup older than `joinableForMs` is not shared: it may
// have read data from before a change.

import type { TimeSource } from './expiring-cache.ts'

interface Flight<Value> {
  readonly fromMs: number
  readonly landed: Promise<Value>
}

export class SingleFlight<Value> {
  readonly #clock: TimeSource
  readonly #joinableForMs: number
  readonly #flights = new Map<string, Flight<Value>>()

  constructor ({ clock, joinableForMs }: { clock: TimeSource, joinableForMs: number }) {
    this.#clock = clock
    this.#joinableForMs = joinableForMs
  }

  /**
   * Joins the lookup that is running for `key`, or starts `find`. `keep` is called with the result and the start time
   * of the lookup, unless the lookup was forgotten or replaced by a newer one in the meantime. In that case the callers
   * that already wait still get the result, but later callers do not.
   */
  take (key: string, find: () => Promise<Value>, keep: (value: Value, fromMs: number) => void): Promise<Value> {
    const nowMs = this.#clock.now()
    const joined = this.#flights.get(key)
    if (joined !== undefined && joined.fromMs <= nowMs && nowMs < joined.fromMs + this.#joinableForMs) return joined.landed

    const isLatest = (): boolean => this.#flights.get(key) === flight
    const landed = find().then(value => {
      if (isLatest()) keep(value, nowMs)
      return value
    }).finally(() => {
      if (isLatest()) this.#flights.delete(key)
    })
    const flight = { fromMs: nowMs, landed }
    this.#flights.set(key, flight)
    return landed
  }

  forget (key: string): void {
    this.#flights.delete(key)
  }

  forgetAll (): void {
    this.#flights.clear()
  }
}
