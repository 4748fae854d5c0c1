// Time-outs for the runs of one task. All have the same length, so the run that began first times out first, and one sleep serves all of them.
// They use the steady clock, so a change of the system time makes no run late.

import { pause } from '../../concurrency/loop.ts'
import type { Clock } from '../../contract/index.ts'

export interface Deadlines {
  /** Calls `late` when the time is up, unless the returned function was called before. */
  begin (late: () => void): () => void
  /** Ends all time-outs; no `late` is called any more. */
  close (): void
}

interface Waiting { readonly atMs: number, readonly late: () => void }

const closed = 'the run has ended'

export function createDeadlines (clock: Clock, timeoutMs: number): Deadlines {
  const waiting = new Set<Waiting>()
  const closing = new AbortController()
  let isWatched = false

  const watch = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      const [first] = waiting
      if (first === undefined) break
      const leftMs = first.atMs - performance.now()
      if (leftMs > 0) await pause(clock, leftMs, closing.signal)
      else if (waiting.delete(first)) first.late()
    }
    // This happens in the same turn as the last check, so the next `begin` starts a new loop.
    isWatched = false
  }
  return {
    begin: late => {
      const own = { atMs: performance.now() + timeoutMs, late }
      waiting.add(own)
      if (!isWatched) {
        isWatched = true
        void watch()
      }
      return () => { waiting.delete(own) }
    },
    close: () => { closing.abort(closed) }
  }
}
