// Computes the instants at which a task is due, and waits for them. Every replica computes the same ones, so they need no coordination.

import { createHash } from 'node:crypto'
import { pause } from '../../concurrency/loop.ts'
import type { Clock } from '../../contract/index.ts'

/** The instants are multiples of the interval since the epoch, shifted by a phase of the task's own so that tasks are not all due at once. */
export function everyTick (name: string, everyMs: number): (afterMs: number) => number {
  const phaseMs = createHash('sha256').update(name).digest().readUInt32BE() % everyMs
  return afterMs => (Math.floor((afterMs - phaseMs) / everyMs) + 1) * everyMs + phaseMs
}

/** The same tick of the same task has the same id in every replica, and no other tick has it. */
export function tickId (name: string, atMs: number): string {
  const hex = createHash('sha256').update(`${name}@${atMs}`).digest('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join('-')
}

/** A timer counts no time while the machine sleeps and does not notice when the clock is set, so the clock is read at least this often. */
const longestSleepMs = 30_000
/** When the next tick cannot be computed from an instant, it is computed from an instant that is this much later. */
const skipMs = 3_600_000
const skipsMax = 48
const retryMs = 5_000
/** Ticks follow a clock that was set back by more than this: otherwise a task would wait until the clock shows its last tick again. */
const setBackMs = 60_000

interface Ticking {
  readonly clock: Clock
  /** Returns the first tick after an instant. An error, or a result that is not later, goes to `failed`. */
  readonly next: (afterMs: number) => number
  /** Must not reject. The next tick waits for it; ticks that pass meanwhile are skipped. */
  readonly due: (atMs: number) => Promise<void>
  /** Called for the first of every `skipsMax` failures in a row. Must not throw. */
  readonly failed: (error: unknown, afterMs: number) => void
  readonly stop: AbortSignal
}

/** Resolves once `stop` has aborted and the last `due` is over. */
export async function tick ({ clock, next, due, failed, stop }: Ticking): Promise<void> {
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
      await pause(clock, isSkipping ? retryMs : skipMs, stop)
      fromMs = isSkipping ? fromMs + skipMs : Math.max(fromMs - (skipsMax - 1) * skipMs, clock.now())
      continue
    }
    failures = 0
    const waitMs = atMs - nowMs
    if (waitMs > 0) {
      await pause(clock, Math.min(waitMs, longestSleepMs), stop)
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
