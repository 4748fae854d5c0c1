// The instants at which a task is due. Every replica finds the same ones, so they need not talk about them.

import { createHash } from 'node:crypto'
import type { Clock } from '../../contract/index.ts'

/** Multiples of the interval since the epoch, moved by a phase of the task's own so that tasks do not all fall due at once. */
export function everyTick (name: string, everyMs: number): (afterMs: number) => number {
  const phaseMs = createHash('sha256').update(name).digest().readUInt32BE() % everyMs
  return afterMs => (Math.floor((afterMs - phaseMs) / everyMs) + 1) * everyMs + phaseMs
}

/** The same tick of the same task has the same id in every replica, and no other tick has it. */
export function tickId (name: string, atMs: number): string {
  const hex = createHash('sha256').update(`${name}@${atMs}`).digest('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join('-')
}

/** A timer counts no time while the machine sleeps and does not see that a clock is set, so the clock is read again that often. */
const longestSleepMs = 30_000
/** Where the next tick cannot be computed from one instant, it is computed from one that is so much later. */
const skipMs = 3_600_000
const skipsMax = 48
const retryMs = 5_000
/** A clock that was set back by more is followed: otherwise a task would wait until the clock shows its last tick again. */
const setBackMs = 60_000

interface Ticking {
  readonly clock: Clock
  /** The first tick after an instant. What it throws, and an instant that is not later, is given to `failed`. */
  readonly next: (afterMs: number) => number
  /** Must not reject. The next tick waits for it; those that pass meanwhile are left out. */
  readonly due: (atMs: number) => Promise<void>
  /** Called once in a row of failures. Must not throw. */
  readonly failed: (error: unknown, afterMs: number) => void
  readonly stop: AbortSignal
}

/** Resolves once `stop` has aborted and the last `due` is over. */
export async function tick ({ clock, next, due, failed, stop }: Ticking): Promise<void> {
  const pause = (ms: number): Promise<void> => clock.sleep(ms, stop).catch((reason: unknown) => { if (!stop.aborted) throw reason })
  let latestMs = clock.now()
  let fromMs = latestMs
  let failures = 0
  let atMs: number | undefined
  while (!stop.aborted) {
    const nowMs = clock.now()
    if (nowMs < latestMs - setBackMs) {
      latestMs = fromMs = nowMs
      atMs = undefined
    }
    latestMs = Math.max(latestMs, nowMs)
    try {
      atMs ??= later(next(fromMs), fromMs)
    } catch (error) {
      if (failures % skipsMax === 0) failed(error, fromMs)
      failures += 1
      const isSkipping = failures % skipsMax !== 0
      await pause(isSkipping ? retryMs : skipMs)
      fromMs = isSkipping ? fromMs + skipMs : Math.max(fromMs - (skipsMax - 1) * skipMs, clock.now())
      continue
    }
    failures = 0
    const waitMs = atMs - nowMs
    if (waitMs > 0) {
      await pause(Math.min(waitMs, longestSleepMs))
      continue
    }
    await due(atMs)
    fromMs = Math.max(atMs, clock.now())
    atMs = undefined
  }
}

function later (atMs: number, afterMs: number): number {
  if (atMs > afterMs) return atMs
  throw new Error(`the next tick was computed as ${atMs}, which is not later than ${afterMs}`)
}
