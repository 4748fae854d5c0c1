// Waits for something that comes about by itself.

import { setTimeout as sleep } from 'node:timers/promises'

/** Resolves once `holds` does; rejects after `withinMs`, which is long: a busy machine is no failure. */
export async function until (holds: () => boolean | Promise<boolean>, withinMs = 60_000): Promise<void> {
  const end = Date.now() + withinMs
  while (!await holds()) {
    if (Date.now() > end) throw new Error(`still not so after ${withinMs} ms: ${holds.toString()}`)
    await sleep(5)
  }
}
