// Provides the real clocks for all code that takes a clock: system time for data that is stored or expires, steady time for durations, and
// the time in which this process ran for budgets of starts.

import { createRunClock } from '../concurrency/run-clock.ts'
import type { Clock } from '../contract/clock.ts'

export const realClock: Clock = {
  now: () => Date.now(),
  // This is not the `setTimeout` of `node:timers/promises`, whose own error would hide why the signal aborted, and costs more than the sleep.
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

/** This clock is never set back or forward: a correction of the system time moves no deadline. */
export const steadyClock: Clock = { ...realClock, now: () => performance.timeOrigin + performance.now() }

const threadCpuMs = (): number => {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1_000
}

/** This clock stands still while the process is frozen, or while a busy machine gives it no processor. */
export const budgetClock: Clock = createRunClock(steadyClock, threadCpuMs)
