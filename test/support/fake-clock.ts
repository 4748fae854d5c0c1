// A clock that a test moves by hand: nothing passes unless it says so, and everything that is due happens in one order.

import { setImmediate as turn } from 'node:timers/promises'
import type { Clock } from '../../core/contract/clock.ts'

export interface FakeClock extends Clock {
  /** Lets `ms` pass, waking each sleeper at its own time, and everything that follows from it happen. */
  advance (ms: number): Promise<void>
  /** Lets time pass until nobody sleeps any more. */
  runAll (): Promise<void>
  /** How many sleep now. */
  readonly sleepers: number
}

interface Sleeper {
  readonly atMs: number
  wake (): void
}

export function createFakeClock (startMs = 1_000_000): FakeClock {
  let nowMs = startMs
  const sleepers = new Set<Sleeper>()

  // Of those with the same time, the one that fell asleep first.
  const next = (): Sleeper | undefined => {
    let first: Sleeper | undefined
    for (const sleeper of sleepers) if (first === undefined || sleeper.atMs < first.atMs) first = sleeper
    return first
  }

  const runUntil = async (untilMs: number): Promise<void> => {
    await turn()
    for (let sleeper = next(); sleeper !== undefined && sleeper.atMs <= untilMs; sleeper = next()) {
      nowMs = Math.max(nowMs, sleeper.atMs)
      sleepers.delete(sleeper)
      sleeper.wake()
      await turn()
    }
  }

  return {
    now: () => nowMs,
    sleep: (ms, signal) => new Promise((resolve, reject) => {
      const abort = (): void => {
        sleepers.delete(sleeper)
        // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- the contract gives the signal's reason, whatever it is
        reject(signal?.reason)
      }
      const sleeper: Sleeper = {
        atMs: nowMs + ms,
        wake: () => { signal?.removeEventListener('abort', abort); resolve() }
      }
      if (signal?.aborted === true) {
        abort()
        return
      }
      signal?.addEventListener('abort', abort, { once: true })
      sleepers.add(sleeper)
    }),
    advance: async ms => {
      const untilMs = nowMs + ms
      await runUntil(untilMs)
      nowMs = untilMs
    },
    runAll: () => runUntil(Infinity),
    get sleepers () { return sleepers.size }
  }
}
