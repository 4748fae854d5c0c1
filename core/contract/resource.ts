// What every outside system looks like to the host once it is open.

import type { Clock } from './clock.ts'
import type { Log } from './log.ts'

export interface Resource<Value> {
  readonly value: Value
  /** Resolves when the system answers; rejects with the reason when it does not, or when `signal` aborts first. */
  check (signal: AbortSignal): Promise<void>
  /** Ends every connection. Resolves once nothing is left open; safe to call once only. */
  close (): Promise<void>
}

/** What an `open…` function is given beside its own settings. */
export interface OpenParts {
  readonly log: Log
  readonly clock: Clock
  /** Aborts when the start budget runs out or the host stops; opening must then give up and close what it holds. */
  readonly signal: AbortSignal
}
