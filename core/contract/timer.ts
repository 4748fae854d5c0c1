// Timers and listeners that end with the plugin that made them.

/**
 * Starts timers that end with the plugin. An error that `work` throws or rejects with is logged and counts as an
 * unhandled error of the plugin. Each method returns a function that cancels the timer.
 */
export interface Timers {
  /** Runs `work` once, after `ms` milliseconds. */
  after (ms: number, work: () => void | Promise<void>): () => void
  /**
   * Runs `work` repeatedly, with a pause of `ms` milliseconds before each run. The pause begins when the previous run
   * has ended.
   */
  every (ms: number, work: () => void | Promise<void>): () => void
}

/** An `EventEmitter`, or any object with these two methods. */
export interface Emitter {
  on (event: string | symbol, listener: (...args: unknown[]) => void): unknown
  off (event: string | symbol, listener: (...args: unknown[]) => void): unknown
}

/** Adds a listener until the plugin ends or the returned function is called. */
export type Listen = (emitter: Emitter, event: string | symbol, listener: (...args: never[]) => void) => () => void
