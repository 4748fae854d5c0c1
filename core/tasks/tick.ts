// The instants at which a task is due. Every replica finds the same ones, so they need not talk about them.

import { createHash } from 'node:crypto'
import type { Clock } from '../contract/index.ts'

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

/** A timer of Node holds 24 days; and a machine that slept finds the time again. */
const longestSleepMs = 3_600_000

interface Ticking {
  readonly clock: Clock
  /** The first tick after an instant. */
  readonly next: (afterMs: number) => number
  /** Must not reject. The next tick waits for it; those that pass meanwhile are left out. */
  readonly due: (atMs: number) => Promise<void>
  readonly stop: AbortSignal
}

/** Resolves once `stop` has aborted and the last `due` is over. */
export async function tick ({ clock, next, due, stop }: Ticking): Promise<void> {
  let atMs = next(clock.now())
  while (!stop.aborted) {
    const waitMs = atMs - clock.now()
    if (waitMs > 0) {
      await clock.sleep(Math.min(waitMs, longestSleepMs), stop).catch((reason: unknown) => { if (!stop.aborted) throw reason })
      continue
    }
    await due(atMs)
    atMs = next(Math.max(atMs, clock.now()))
  }
}
