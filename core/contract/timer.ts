// Timers and listeners that end with the plugin that made them.

/** What `work` throws, or rejects with, is logged and counts as an unhandled error of the plugin. The result cancels. */
export interface Timers {
  /** Once, after `ms` milliseconds. */
  after (ms: number, work: () => void | Promise<void>): () => void
  /** Every `ms` milliseconds; the pause begins when `work` is done. */
  every (ms: number, work: () => void | Promise<void>): () => void
}

/** An `EventEmitter`, or what has its two methods. */
export interface Emitter {
  on (event: string | symbol, listener: (...args: unknown[]) => void): unknown
  off (event: string | symbol, listener: (...args: unknown[]) => void): unknown
}

/** Listens until the plugin ends or the result is called. */
export type Listen = (emitter: Emitter, event: string | symbol, listener: (...args: never[]) => void) => () => void
