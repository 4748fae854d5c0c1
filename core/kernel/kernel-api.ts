// The interface of the kernel: its methods, and the data that they take and return.

import type { Clock } from '../contract/clock.ts'
import type { StartReport, StopReport } from './report.ts'
import type { State } from './state.ts'
import type { StepReport } from './undo.ts'
import type { HealthCheck, UnitDefinition, UnitKind } from './unit-definition.ts'
import type { Change } from './unit-record.ts'

export interface KernelParts {
  readonly clock: Clock
  /** Counts the budgets of starts, such as a clock that stands still while the process does not run; `clock` by default. */
  readonly budgetClock?: Clock
  readonly onChange?: (change: Change) => void
  /**
   * Called for each undo step as it ends, also for steps of a failed attempt and for steps that end too late for a
   * report.
   */
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
  /** Attempts of the most recent start. */
  readonly attempts: number
  /** Starts after the first one: recoveries, other later starts, and generations that replaced another. */
  readonly restarts: number
  /** When the kernel retries it; milliseconds since the Unix epoch. */
  readonly retryAt: number | undefined
  readonly needs: readonly string[]
  /** Set while it runs and has a check. */
  readonly check: HealthCheck | undefined
}

export interface Kernel {
  /**
   * Adds units, which may need units of earlier calls. Resolves when each of them runs or is down for now. Rejects with
   * `InvalidUnits` before anything starts. Rejects with `RequiredUnitFailed` as soon as a required unit cannot come up;
   * the other starts are then aborted. Rejects with `StartStopped` when a stop comes first. `stop` undoes all units.
   */
  start (units: readonly UnitDefinition[]): Promise<StartReport>
  /**
   * Replaces a running unit: the new generation starts beside the old one. If that fails, the old one continues and the
   * call rejects with `NotReplaced`. `onSwitch` is called when the new generation has started; then the old one is
   * undone. Dependents keep running unless they refuse the new generation. A unit that does not run is started again; a
   * disabled one only gets the new definition. Resolves with the undo steps of the old generation.
   */
  replace (unit: UnitDefinition, onSwitch?: () => void): Promise<readonly StepReport[]>
  /** Starts a disabled unit. Resolves when it runs, or is down for now. */
  enable (id: string): Promise<void>
  /** Ends the unit after every unit that needs it; those are held. Resolves when it has ended. */
  disable (id: string, reason: string): Promise<void>
  /** Ends a running unit that is unhealthy. The unit is quarantined, or failed when its definition has no `recover`. */
  fail (id: string, error: Error): void
  /** Runs a planned retry now. */
  retry (id: string): void
  /**
   * The only way to stop the kernel, in every state. Callers join the first call. After `budgetMs` the kernel waits for
   * nothing more. Never rejects.
   */
  stop (reason: string, options: { budgetMs: number }): Promise<StopReport>
  /** Shortens the remaining time of a stop in progress. */
  hurry (budgetMs: number): void
  units (): readonly UnitSnapshot[]
  unit (id: string): UnitSnapshot | undefined
  /** Lists the units that are starting. `for` names the attempt and the last error, `by` the units that wait for them. */
  waiting (): readonly { readonly unit: string, readonly for: string, readonly by: readonly string[] }[]
}

/** The kernel in the hands of the composition root. */
export interface RootKernel extends Kernel {
  /** Returns what a unit has opened, so that the root can define the units of a later phase. Throws when it does not run. */
  valueOf<Value> (unit: UnitDefinition<Value>): Value
}
