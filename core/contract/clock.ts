// Time as something that is handed over, so that a test can hold it still.

export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now (): number
  /** Resolves after `ms` milliseconds; rejects with the signal's reason as soon as `signal` aborts. */
  sleep (ms: number, signal?: AbortSignal): Promise<void>
}
