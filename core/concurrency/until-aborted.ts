// Ends the wait for work that does not respect the signal itself.

/**
 * Settles as `work` does, or rejects with the reason of `signal` when that aborts first. The work then continues in the
 * background, and its outcome is ignored.
 */
export async function untilAborted<T> (signal: AbortSignal, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const abort = (): void => reject(signal.reason)
  if (signal.aborted) abort()
  else signal.addEventListener('abort', abort)
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
