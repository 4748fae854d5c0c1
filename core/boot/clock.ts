// The real time, for everything that is handed a clock: the calendar's for what is kept or expires, the steady one for budgets and durations.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from '../contract/clock.ts'

export const realClock: Clock = {
  now: () => Date.now(),
  sleep: async (ms, signal) => {
    // Node's own error would hide why the signal aborted.
    await sleep(ms, undefined, { signal }).catch((error: unknown) => { signal?.throwIfAborted(); throw error })
  }
}

/** Never set back or forward: a correction of the calendar's clock moves no deadline. */
export const steadyClock: Clock = { ...realClock, now: () => performance.timeOrigin + performance.now() }
