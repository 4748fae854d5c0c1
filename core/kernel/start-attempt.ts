// One call of a unit's `start`, with the signal it listens to and what it registered.

import { asError } from './kernel-error.ts'
import type { Share, Undo } from './undo.ts'
import type { UnitDefinition } from './unit-definition.ts'

/** A start that has not come to an end so long after its signal does not listen to it. */
const heedMs = 1_000

export class StartAttempt {
  readonly undo: Undo
  /** What makes it serve, once it has started. */
  serve: (() => void) | undefined
  outcome: 'pending' | 'started' | 'failed' = 'pending'
  error: Error | undefined
  readonly #controller = new AbortController()
  readonly #settled = Promise.withResolvers<undefined>()
  #hasEnded = false

  constructor (undo: Undo) {
    this.undo = undo
  }

  /** Resolves when `start` has come to an end, well or not. */
  get settled (): Promise<unknown> {
    return this.#settled.promise
  }

  async run (definition: UnitDefinition, attempt: number): Promise<void> {
    try {
      this.serve = await definition.start({ signal: this.#controller.signal, attempt, undo: (name, step) => this.undo.push(name, step) }) ?? undefined
      this.outcome = 'started'
    } catch (thrown) {
      this.outcome = 'failed'
      this.error = asError(thrown)
    }
    this.#settled.resolve(undefined)
  }

  abort (reason: Error): void {
    this.#controller.abort(reason)
  }

  /** Aborts and undoes. A start that is still at work is given a moment to heed its signal first. Callers join. */
  end (reason: Error, share?: Share): Promise<void> {
    if (!this.#hasEnded) {
      this.#hasEnded = true
      this.abort(reason)
      if (this.outcome === 'pending') this.undo.push('start', async () => { await this.settled }, heedMs)
    }
    return this.undo.run(share)
  }
}
