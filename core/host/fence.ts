// What stands between a plugin that has ended and everything it still holds.

import { AnswerableError } from '../contract/index.ts'

/** Thrown at code that goes on after its plugin has stopped, failed, run out of time or been replaced. */
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
  #hasEnded = false
  #reason: unknown

  constructor (pluginId: string) {
    this.#pluginId = pluginId
  }

  get hasEnded (): boolean {
    return this.#hasEnded
  }

  /** The first reason stays. */
  end (reason: unknown): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    this.#reason = reason
  }

  createError (): ScopeEnded {
    return new ScopeEnded(this.#pluginId, this.#reason)
  }

  /** Throws once the plugin has ended. */
  check (): void {
    if (this.#hasEnded) throw this.createError()
  }
}
