// Measures how far this machine's clock is from the database's. The database's clock decides, because replicas must agree on when a tick
// is due.

import { createLoop } from '../../concurrency/loop.ts'
import type { Clock, Log } from '../../contract/index.ts'

export interface Offset {
  /** Returns the database's time in milliseconds, by the offset of the last measurement. */
  now (): number
  close (): Promise<void>
}

const lookEveryMs = 30_000
const toleratedMs = 5_000

/** Resolves once the first measurement is over, and rejects when it failed. `ask` returns the database's time in milliseconds. */
export async function watchOffset ({ ask, clock, log }: { ask: () => Promise<number>, clock: Clock, log: Log }): Promise<Offset> {
  let offsetMs = 0
  let isOff = false
  const look = async (): Promise<void> => {
    const before = clock.now()
    const there = await ask()
    // The database answered at some moment between the two readings.
    offsetMs = Math.round(there - (before + clock.now()) / 2)
    const wasOff = isOff
    isOff = Math.abs(offsetMs) > toleratedMs
    if (isOff && !wasOff) {
      log.warn({ offsetMs: -offsetMs }, `this machine's clock is ${Math.abs(offsetMs / 1_000).toFixed(1)} s ${offsetMs < 0 ? 'ahead of' : 'behind'} the database's: ` +
        'tasks keep to the database\'s, but sessions, tokens and log lines do not; set the clock (NTP)')
    } else if (wasOff && !isOff) log.info({ offsetMs: -offsetMs }, 'this machine\'s clock agrees with the database\'s again')
  }
  await look()
  const loop = createLoop({
    clock,
    pauseMs: lookEveryMs,
    // The database may be unavailable: the readiness probe reports it.
    step: () => look().catch((err: unknown) => log.debug({ err }, 'the database\'s time could not be asked'))
  })
  loop.begin()
  return { now: () => clock.now() + offsetMs, close: loop.end }
}
