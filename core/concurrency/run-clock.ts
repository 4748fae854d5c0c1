// A clock that counts the time in which this process ran, for budgets: a process that was frozen, or that got no processor on a busy machine,
// has used up no budget meanwhile.

import type { Sleeper } from './loop.ts'

interface Clock extends Sleeper {
  now (): number
}

/** The clock is read this often while a caller sleeps. */
const beatMs = 25
/** A beat that comes within this time is on time. */
const onTimeMs = 2 * beatMs

/**
 * Returns a clock that runs like `clock`, and does not go on while this process does not run. `cpuMs` returns how long
 * this thread has computed so far: code that computes without a pause makes a beat late, and this time counts.
 */
export function createRunClock (clock: Clock, cpuMs: () => number): Clock {
  let lostMs = 0
  let sleepers = 0
  let seen = { atMs: 0, cpuMs: 0 }
  const now = (): number => {
    if (sleepers === 0) return clock.now() - lostMs
    const last = seen
    seen = { atMs: clock.now(), cpuMs: cpuMs() }
    const passedMs = seen.atMs - last.atMs
    if (passedMs > onTimeMs) lostMs += Math.max(0, passedMs - beatMs - (seen.cpuMs - last.cpuMs))
    return seen.atMs - lostMs
  }
  return {
    now,
    async sleep (ms, signal) {
      const untilMs = now() + ms
      if (sleepers === 0) seen = { atMs: clock.now(), cpuMs: cpuMs() }
      sleepers += 1
      try {
        for (let leftMs = ms; leftMs > 0; leftMs = untilMs - now()) await clock.sleep(Math.min(leftMs, beatMs), signal)
      } finally {
        sleepers -= 1
      }
    }
  }
}
