// The definition of a unit: everything that the kernel knows about a resource or a plugin.

import type { BackOff } from '../concurrency/back-off.ts'

export type UnitKind = 'resource' | 'plugin' | 'host'
export type UndoStep = (signal: AbortSignal) => void | Promise<void>

export interface StartContext {
  /** Aborts when this attempt exceeds its budget or when the unit is to end, also after a successful start. */
  readonly signal: AbortSignal
  /** Number of this attempt; the first is 1. */
  readonly attempt: number
  /** The values that the units of `needs` opened, by id, and no others. */
  readonly opened: Readonly<Record<string, unknown>>
  /**
   * Adds a step that runs when the unit stops or this attempt fails. Steps run newest first, and none is skipped
   * because another failed. A step added after the attempt has ended runs at once.
   */
  readonly undo: (name: string, step: UndoStep) => void
}

/** The pause before a unit that failed is started again. */
export interface Recovery extends BackOff {
  /** When a unit has run for this long, its failures no longer count. */
  readonly resetAfterMs: number
}

/** Throws or rejects with the reason when the unit is not healthy. */
export type HealthCheck = (signal: AbortSignal) => void | Promise<void>

/** The result of a start. */
export interface Opened<Value> {
  /** Handed to the units that need this one. */
  readonly value?: Value
  /** The snapshot of the unit has it as long as this start serves. */
  readonly check?: HealthCheck | undefined
  /**
   * Makes the unit serve. It is called in the turn in which the unit becomes running, or replaces the previous
   * generation. Until then a start has changed nothing for others. An error that this function throws is a failed
   * start; before it throws, the function must undo what it did.
   */
  readonly serve?: () => void
}

/** `Value` is what the unit hands to the units that need it. */
export interface UnitDefinition<Value = unknown> {
  readonly id: string
  readonly kind: UnitKind
  /** Ids of units that must run first. If one does not come up, this unit is held. */
  readonly needs: readonly string[]
  /** Order only: this unit starts after these have settled and stops before they stop. Ids that no unit has are ignored. */
  readonly after?: readonly string[]
  /** A required unit that does not come up at its first start ends the kernel. Later it is retried like any other unit. */
  readonly required: boolean
  /** Milliseconds for all attempts together, including the undoing between them and the pauses. */
  readonly startBudgetMs: number
  /** Milliseconds to undo what one attempt registered; less when the stop has less time left. */
  readonly stopBudgetMs: number
  /** A stop does not divide this budget with the units that end afterwards. */
  readonly stopIsReserved?: boolean
  /** Milliseconds for one attempt; `startBudgetMs` by default. */
  readonly attemptBudgetMs?: number
  /** The pause after a failed attempt. Without it there is one attempt; an error that `isPassing` denies is the last. */
  readonly retry?: BackOff & { readonly isPassing?: (error: Error) => boolean }
  /**
   * Turns failure into quarantine. Defines when the unit is started again, and after how long a run its failures no
   * longer count.
   */
  readonly recover?: Recovery
  /** The unit is added as disabled, with this reason; `enable` starts it. */
  readonly disabled?: string
  /**
   * Returns why this unit cannot use the unit that runs under this id. Called for each need, and again whenever
   * that need was started or replaced.
   */
  refuses? (need: string): string | undefined
  // eslint-disable-next-line @typescript-eslint/no-invalid-void-type -- many starts give nothing back
  start (context: StartContext): void | Opened<Value> | Promise<void | Opened<Value>>
}
