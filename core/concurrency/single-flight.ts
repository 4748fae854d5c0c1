// One lookup for all who ask for the same at about the same time. One that is slow is not joined later: what changed since it began would be missed.

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
   * Joins the flight under `key`, or lets `find` take off. `keep` is called with what was found and when the search began, unless the flight was
   * forgotten or overtaken meanwhile: those who wait get what they asked for in time, and nobody after them.
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
