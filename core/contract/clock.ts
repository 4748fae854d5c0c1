// The clock that the host and its plugins use. It is passed in, so that a test can control time.

export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now (): number
  /** Resolves after `ms` milliseconds; rejects with the signal's reason as soon as `signal` aborts. */
  sleep (ms: number, signal?: AbortSignal): Promise<void>
}
