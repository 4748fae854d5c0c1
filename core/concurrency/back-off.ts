// The pause before a retry: it doubles with each failure, up to a maximum. Plugins use this file through the
// contract, so it follows semver.

export interface BackOff {
  /** Milliseconds after the first failure. */
  readonly firstMs: number
  /** The longest pause in milliseconds. */
  readonly maxMs: number
  /**
   * Up to this part of the pause, 0 to 1, is taken off at random, so that callers that failed together do not retry
   * together; none by default.
   */
  readonly jitter?: number
}

/** Returns the milliseconds to wait after `failures` failures in a row. `random` is from 0 to 1. */
export const backOff = (failures: number, { firstMs, maxMs, jitter = 0 }: BackOff, random = Math.random()): number =>
  Math.min(firstMs * 2 ** (failures - 1), maxMs) * (1 - jitter * (1 - random))
