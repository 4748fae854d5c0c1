// One attempt to start a unit: the call of `start`, its abort signal, and the undo steps that it registered.

import { asError } from './kernel-error.ts'
import type { Share, Undo } from './undo.ts'
import type { Opened, StartContext, UnitDefinition } from './unit-definition.ts'

/** A start that has not ended this long after its abort signal does not respect the signal. */
const heedMs = 1_000

export class StartAttempt {
  readonly undo: Undo
  opened: Opened<unknown> | undefined
  outcome: 'pending' | 'started' | 'failed' = 'pending'
  error: Error | undefined
  readonly #controller = new AbortController()
  readonly #settled = Promise.withResolvers<undefined>()
  #hasEnded = false

  constructor (undo: Undo) {
    this.undo = undo
  }

  /** Resolves when `start` has ended, successfully or not. */
  get settled (): Promise<unknown> {
    return this.#settled.promise
  }

  /** `valueOf` returns what the unit with this id has opened. */
  async run (definition: UnitDefinition, attempt: number, valueOf: (id: string) => unknown): Promise<void> {
    try {
      const opened = Object.fromEntries(definition.needs.map(id => [id, valueOf(id)]))
      const undo: StartContext['undo'] = (name, step) => this.undo.push(name, step)
      this.opened = await definition.start({ signal: this.#controller.signal, attempt, opened, undo }) ?? undefined
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

  /**
   * Aborts the start and undoes its steps. A start that is still running first gets `heedMs` to respect its signal.
   * Callers join.
   */
  end (reason: Error, share?: Share): Promise<void> {
    if (!this.#hasEnded) {
      this.#hasEnded = true
      this.abort(reason)
      if (this.outcome === 'pending') this.undo.push('start', async () => { await this.settled }, heedMs)
    }
    return this.undo.run(share)
  }
}
