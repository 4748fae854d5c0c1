// An abort signal that is created on first use, because most handlers never use it.

import { AsyncLocalStorage } from 'node:async_hooks'

export class LazySignal {
  #controller: AbortController | undefined
  /**
   * The async context of the code that first asked for the signal: its listeners run in that context, whichever code
   * aborts.
   */
  #inContext: ((work: () => void) => void) | undefined
  #reason: Error | undefined

  get reason (): Error | undefined { return this.#reason }

  get signal (): AbortSignal {
    this.#inContext ??= AsyncLocalStorage.snapshot()
    this.#controller ??= new AbortController()
    if (this.#reason !== undefined) this.#controller.abort(this.#reason)
    return this.#controller.signal
  }

  /** Aborts with `reason`. Only the first reason counts. */
  abort (reason: Error): void {
    this.#reason ??= reason
    this.#inContext?.(() => this.#controller?.abort(this.#reason))
  }
}
