// What the kernel is asked and what it answers.

import type { Clock } from '../contract/clock.ts'
import type { StartReport, StopReport } from './report.ts'
import type { State } from './state.ts'
import type { StepReport } from './undo.ts'
import type { UnitDefinition, UnitKind } from './unit-definition.ts'
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
  readonly required: boolean
  readonly state: State
  /** Milliseconds since the Unix epoch. */
  readonly since: number
  readonly reason: string | undefined
  /** Of the last start. */
  readonly attempts: number
  /** After the first: recoveries, and generations that took the place of another. */
  readonly restarts: number
  /** When it is tried again; milliseconds since the Unix epoch. */
  readonly retryAt: number | undefined
  readonly needs: readonly string[]
}

export interface Kernel {
  /**
   * Adds units, which may need those of earlier calls, and resolves when all of them run, or do not for now.
   * Rejects with `InvalidUnits` before anything starts; with `RequiredUnitFailed` as soon as a required unit cannot come up, the
   * other starts then being aborted; with `StartStopped` when a stop comes first. All units are undone by `stop`.
   */
  start (units: readonly UnitDefinition[]): Promise<StartReport>
  /**
   * A unit that runs is replaced: the new generation starts beside the old one, which goes on when that fails (`NotReplaced`); `onSwitch` is
   * called when it has started, and the old one is undone then. Dependents keep running unless they refuse the new one. A unit that does not
   * run is started anew. Resolves with how the old one was undone.
   */
  replace (unit: UnitDefinition, onSwitch?: () => void): Promise<readonly StepReport[]>
  /** Starts what was disabled; resolves when it runs, or does not for now. */
  enable (id: string): Promise<void>
  /** Ends it after everything that needs it, which is held; resolves when it has ended. */
  disable (id: string, reason: string): Promise<void>
  /** A unit that runs is not well: it is ended like that, and quarantined. */
  fail (id: string, error: Error): void
  /** What is to be tried again later is tried now. */
  retry (id: string): void
  /** The one way out, in every state. Callers join the first; after `budgetMs` nothing is waited for any more. Never rejects. */
  stop (reason: string, options: { budgetMs: number }): Promise<StopReport>
  /** Shortens what is left of a stop that is under way. */
  hurry (budgetMs: number): void
  units (): readonly UnitSnapshot[]
  unit (id: string): UnitSnapshot | undefined
  /** The units that are starting, what for (the attempt and the last error), and those that wait for them. */
  waiting (): readonly { readonly unit: string, readonly for: string, readonly by: readonly string[] }[]
}
