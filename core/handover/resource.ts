// The common shape of every outside system (database, cache, storage, cluster) once the host has opened it.

import type { Clock, Log } from '../contract/index.ts'

export interface Resource<Value> {
  readonly value: Value
  /** Resolves when the system answers; rejects with the reason when it does not, or when `signal` aborts first. */
  check (signal: AbortSignal): Promise<void>
  /** Ends every connection. Resolves once nothing is left open; safe to call once only. */
  close (): Promise<void>
}

/** The arguments that every `open…` function gets in addition to its own settings. */
export interface OpenParts {
  readonly log: Log
  readonly clock: Clock
  /**
   * Aborts when the start budget runs out or the host stops. Opening must then stop and close everything that it has
   * opened.
   */
  readonly signal: AbortSignal
}
