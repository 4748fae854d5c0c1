// Decides when a unit that is down starts again: as soon as the units it needs run, or after a pause that doubles.

import { backOff } from '../concurrency/back-off.ts'
import type { Undoing } from './undo.ts'
import type { Recovery } from './unit-definition.ts'

export class RetryPlan {
  /** True when it starts as soon as the units it needs run. False when a retry or a replacement has to come first. */
  isDue = true
  /** When it is retried; undefined when no retry is planned. */
  atMs: number | undefined
  /** Failures in a row, without a long run between them. */
  #failures = 0
  #cancel: (() => void) | undefined

  cancel (): void {
    this.#cancel?.()
    this.#cancel = this.atMs = undefined
  }

  makeDue (): void {
    this.cancel()
    this.isDue = true
  }

  /** Plans the call of `begin`, unless the unit is due or its retry is planned already. */
  plan (recover: Recovery, { clock, alarm }: Undoing, begin: () => void): void {
    if (this.isDue || this.atMs !== undefined) return
    this.atMs = clock.now() + backOff(this.#failures, recover)
    this.#cancel = alarm.at(this.atMs, begin)
  }

  /** Called when the unit changes its state. After a long run, earlier failures no longer count. */
  note (change: { readonly isDue: boolean, readonly isFailure: boolean, readonly endsLongRun: boolean }): void {
    if (change.endsLongRun) this.#failures = 0
    if (change.isFailure) this.#failures += 1
    this.isDue = change.isDue
  }
}
