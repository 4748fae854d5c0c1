// Bounds a call to an outside system in time, whether or not the system's client can be cancelled.

import { untilAborted } from './until-aborted.ts'

export class DeadlinePassed extends Error {
  constructor (deadlineMs: number) {
    super(`no answer within ${deadlineMs} ms`)
    this.name = 'DeadlinePassed'
  }
}

/**
 * Settles as `work` does. Rejects with `DeadlinePassed` after `deadlineMs`, or with the reason of `outer` when that
 * aborts first. The signal that `work` gets aborts at the same time. Work that does not respect the signal continues in
 * the background, and its outcome is ignored.
 */
export async function withDeadline<T> (deadlineMs: number, work: (signal: AbortSignal) => Promise<T>, outer?: AbortSignal): Promise<T> {
  outer?.throwIfAborted()
  const inner = new AbortController()
  const timer = setTimeout(() => inner.abort(new DeadlinePassed(deadlineMs)), deadlineMs)
  const passOn = (): void => inner.abort(outer?.reason)
  outer?.addEventListener('abort', passOn)
  try {
    return await untilAborted(inner.signal, work(inner.signal))
  } finally {
    clearTimeout(timer)
    outer?.removeEventListener('abort', passOn)
  }
}
