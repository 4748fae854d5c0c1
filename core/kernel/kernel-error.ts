// The errors of the kernel, and how any failure is described in words.

import { describeThrown } from '../contract/thrown.ts'

export { asError } from '../contract/thrown.ts'

export class InvalidUnits extends Error {
  readonly code = 'BULKHEAD_INVALID_UNITS'
  readonly problems: readonly string[]

  constructor (problems: readonly string[]) {
    super(`Nothing was started: ${problems.join(' ')}`)
    this.name = new.target.name
    this.problems = problems
  }
}

export class RequiredUnitFailed extends Error {
  readonly code = 'BULKHEAD_REQUIRED_UNIT_FAILED'
  readonly unit: string
  /** The reason, in words: the last error and the number of attempts, or the path to the unit that failed. */
  readonly reason: string

  constructor (unit: string, reason: string, cause: Error | undefined) {
    super(`Required unit "${unit}" did not start: ${reason}`, cause && { cause })
    this.name = new.target.name
    this.unit = unit
    this.reason = reason
  }
}

/**
 * Thrown by a `start` that lacks something outside the host: the unit is held, not failed. Also the reason with which a
 * unit ends when a unit it needs goes down.
 */
export class UnitHeld extends Error {
  readonly code = 'BULKHEAD_HELD'

  constructor (reason: string, options?: ErrorOptions) {
    super(reason, options)
    this.name = new.target.name
  }
}

export class StartStopped extends Error {
  readonly code = 'BULKHEAD_START_STOPPED'
  readonly reason: string

  constructor (reason: string) {
    super(`The host is stopping (${reason}); nothing more is started`)
    this.name = new.target.name
    this.reason = reason
  }
}

/** A new generation did not replace the running one, which continues. */
export class NotReplaced extends Error {
  readonly code = 'BULKHEAD_NOT_REPLACED'
  readonly unit: string

  constructor (unit: string, why: string, options?: ErrorOptions) {
    super(`"${unit}" was not replaced: ${why}`, options)
    this.name = new.target.name
    this.unit = unit
  }
}

/** The reason with which the previous generation of a unit ends. */
export class Replaced extends Error {
  readonly code = 'BULKHEAD_REPLACED'

  constructor (unit: string) {
    super(`A new generation of "${unit}" has taken its place`)
    this.name = new.target.name
  }
}

/**
 * The reason with which a unit ends or does not start: it was disabled, for example by an operator or because its
 * plugin was removed.
 */
export class Disabled extends Error {
  readonly code = 'BULKHEAD_DISABLED'

  constructor (reason: string) {
    super(reason)
    this.name = new.target.name
  }
}

/** The reason with which the kernel aborts a signal when a budget is used up. */
export class BudgetExceeded extends Error {
  readonly code = 'BULKHEAD_BUDGET_EXCEEDED'

  constructor (what: string, budgetMs: number) {
    super(`${what} took longer than ${Math.round(budgetMs)} ms`)
    this.name = new.target.name
  }
}

export function describe (error: Error): string {
  if (error instanceof BudgetExceeded && Error.isError(error.cause)) return `${error.message} (last error: ${describe(error.cause)})`
  return describeThrown(error)
}
