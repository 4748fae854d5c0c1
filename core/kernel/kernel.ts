// What the kernel is asked and what it answers.

import type { Clock } from '../contract/clock.ts'
import type { UnitDefinition, UnitKind } from './definition.ts'
import type { StartReport, StopReport } from './report.ts'
import type { State } from './state.ts'
import type { StepReport } from './undo.ts'
import type { Change } from './unit.ts'

export interface KernelParts {
  readonly clock: Clock
  readonly onChange?: (change: Change) => void
  /** Each undo step as it ends: also those of a failed attempt, and those that came too late for a report. */
  readonly onStep?: (unit: string, step: StepReport) => void
}

export interface UnitSnapshot {
  readonly id: string
  readonly kind: UnitKind
  readonly state: State
  /** Milliseconds since the Unix epoch. */
  readonly since: number
  readonly reason: string | undefined
  readonly attempts: number
  readonly needs: readonly string[]
}

export interface Kernel {
  /**
   * Adds units, which may need those of earlier calls, and resolves when all of them run, have failed or are held.
   * Rejects with `InvalidUnits` before anything starts; with `RequiredUnitFailed` as soon as a required unit cannot come up, the
   * other starts then being aborted; with `StartStopped` when a stop comes first. What was started is undone by `stop` only.
   */
  start (units: readonly UnitDefinition[]): Promise<StartReport>
  /** The one way out, in every state. Callers join the first; after `budgetMs` nothing is waited for any more. Never rejects. */
  stop (reason: string, options: { budgetMs: number }): Promise<StopReport>
  /** Shortens what is left of a stop that is under way. */
  hurry (budgetMs: number): void
  units (): readonly UnitSnapshot[]
  /** The units that are starting, and what for: the attempt and the last error. */
  waiting (): readonly { readonly unit: string, readonly for: string }[]
}
