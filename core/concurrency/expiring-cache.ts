// What is known for a moment: entries with a life of their own, bounded in number, the oldest leaving first.

/** Milliseconds since any instant, the same for all calls. */
export interface TimeSource { now (): number }

/** However a change is heard of, or not, it is seen after this. */
export const knownForMs = 1_000

interface Entry<Value> {
  readonly value: Value
  readonly fromMs: number
  readonly untilMs: number
}

export class ExpiringCache<Value> {
  readonly #clock: TimeSource
  readonly #entriesMax: number
  /** In the order they came; lives are about equal, so the first are the first to end. */
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

/** A wall clock that is set back must not make a life longer. */
const isAlive = ({ fromMs, untilMs }: Entry<unknown>, nowMs: number): boolean => fromMs <= nowMs && nowMs < untilMs
