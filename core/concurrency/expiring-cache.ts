// Small in-memory cache: expiry per entry, bounded size, oldest evicted first.

/** `now` returns milliseconds since some fixed instant, which is the same for all calls. */
export interface TimeSource { now (): number }

/**
 * Maximum age of a cached answer in milliseconds: a change takes effect after this time even when its notification was
 * lost.
 */
export const knownForMs = 1_000

interface Entry<Value> {
  readonly value: Value
  readonly fromMs: number
  readonly untilMs: number
}

export class ExpiringCache<Value> {
  readonly #clock: TimeSource
  readonly #entriesMax: number
  /** Entries in order of insertion. All live about equally long, so the first ones expire first. */
  readonly #entries = new Map<string, Entry<Value>>()

  constructor ({ clock, entriesMax }: { clock: TimeSource, entriesMax: number }) {
    this.#clock = clock
    this.#entriesMax = entriesMax
  }

  get (key: string): Value | undefined {
    const entry = this.#entries.get(key)
    return entry !== undefined && isAlive(entry, this.#clock.now()) ? entry.value : undefined
  }

  set (key: string, value: Value, { fromMs, untilMs }: { fromMs: number, untilMs: number }): void {
    const nowMs = this.#clock.now()
    this.#entries.delete(key)
    for (const [oldest, entry] of this.#entries) {
      if (this.#entries.size < this.#entriesMax && isAlive(entry, nowMs)) break
      this.#entries.delete(oldest)
    }
    this.#entries.set(key, { value, fromMs, untilMs })
  }

  delete (key: string): void {
    this.#entries.delete(key)
  }

  clear (): void {
    this.#entries.clear()
  }
}

/**
 * An entry that begins in the future counts as expired: a wall clock that is set back must not make an entry live
 * longer.
 */
const isAlive = ({ fromMs, untilMs }: Entry<unknown>, nowMs: number): boolean => fromMs <= nowMs && nowMs < untilMs
