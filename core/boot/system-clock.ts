// The real time, for everything that is handed a clock: the calendar's for what is kept or expires, the steady one for budgets and durations.

import type { Clock } from '../contract/clock.ts'

export const realClock: Clock = {
  now: () => Date.now(),
  // Not the one of `node:timers/promises`: its own error would hide why the signal aborted, and costs more than the sleep.
  sleep: (ms, signal) => new Promise((resolve, reject) => {
    const wake = (): void => {
      clearTimeout(timer)
      reject(signal?.reason as Error)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', wake)
      resolve()
    }, ms)
    if (signal?.aborted === true) wake()
    else signal?.addEventListener('abort', wake, { once: true })
  })
}

/** Never set back or forward: a correction of the calendar's clock moves no deadline. */
export const steadyClock: Clock = { ...realClock, now: () => performance.timeOrigin + performance.now() }
