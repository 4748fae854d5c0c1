// An abort signal that is made when it is first asked for, which most handlers never do.

import { AsyncLocalStorage } from 'node:async_hooks'

export class LazySignal {
  #controller: AbortController | undefined
  /** Of whoever asked for it: its listeners are that code's, whoever aborts. */
  #inContext: ((work: () => void) => void) | undefined
  #reason: Error | undefined

  get reason (): Error | undefined { return this.#reason }

  get signal (): AbortSignal {
    this.#inContext ??= AsyncLocalStorage.snapshot()
    this.#controller ??= new AbortController()
    if (this.#reason !== undefined) this.#controller.abort(this.#reason)
    return this.#controller.signal
  }

  /** The first reason stays. */
  abort (reason: Error): void {
    this.#reason ??= reason
    this.#inContext?.(() => this.#controller?.abort(this.#reason))
  }
}
