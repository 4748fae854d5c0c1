// The time-outs of a task's runs. All have the same length, so the one that began first is over first, and one sleep is enough for all of them.
// By the steady time: nobody is late because the calendar's clock was set.

import type { Clock } from '../../contract/index.ts'

export interface Deadlines {
  /** Calls `late` when the time is up, unless the result was called before. */
  begin (late: () => void): () => void
  /** Nothing is called any more. */
  close (): void
}

interface Waiting { readonly atMs: number, readonly late: () => void }

const closed = 'nobody waits for a time-out any more'

export function createDeadlines (clock: Clock, timeoutMs: number): Deadlines {
  const waiting = new Set<Waiting>()
  const closing = new AbortController()
  let isWatched = false

  const watch = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      const [first] = waiting
      if (first === undefined) break
      const leftMs = first.atMs - performance.now()
      if (leftMs > 0) await clock.sleep(leftMs, closing.signal).catch((reason: unknown) => { if (!closing.signal.aborted) throw reason })
      else if (waiting.delete(first)) first.late()
    }
    // In the same turn: who comes next finds nobody watching.
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
