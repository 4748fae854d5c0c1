// The fence cuts a plugin that has ended off from everything it still holds.

import { AnswerableError } from '../../contract/index.ts'

/** Thrown to code that continues after its plugin has stopped, failed, exceeded its time or been replaced. */
export class ScopeEnded extends AnswerableError {
  readonly status = 503
  readonly code = 'BULKHEAD_SCOPE_ENDED'
  readonly title = 'Service unavailable'

  constructor (pluginId: string, cause: unknown) {
    super(`Plugin "${pluginId}" has ended.`, { cause, retryAfterMs: 1_000 })
  }
}

export class Fence {
  readonly #pluginId: string
  readonly #listeners = new Set<(error: ScopeEnded) => void>()
  #hasEnded = false
  #reason: unknown

  constructor (pluginId: string) {
    this.#pluginId = pluginId
  }

  get hasEnded (): boolean {
    return this.#hasEnded
  }

  /** Ends the access of the plugin. Only the first reason is stored. */
  end (reason: unknown): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    this.#reason = reason
    for (const listener of this.#listeners) listener(this.createError())
    this.#listeners.clear()
  }

  /** Calls `listener` once, at the end. The returned function removes the listener. */
  onEnd (listener: (error: ScopeEnded) => void): () => void {
    this.#listeners.add(listener)
    return () => { this.#listeners.delete(listener) }
  }

  /**
   * Settles as `work` does, or rejects as soon as the plugin has ended. So a caller does not wait for plugin code that
   * never settles.
   */
  orEnd<T> (work: PromiseLike<T>): Promise<T> {
    if (this.#hasEnded) return Promise.reject(this.createError())
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const forget = this.onEnd(reject)
    work.then(resolve, reject)
    return promise.finally(forget)
  }

  createError (): ScopeEnded {
    return new ScopeEnded(this.#pluginId, this.#reason)
  }

  /** Throws once the plugin has ended. */
  check (): void {
    if (this.#hasEnded) throw this.createError()
  }
}
