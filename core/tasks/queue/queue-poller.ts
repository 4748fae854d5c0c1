// Wakes this replica's workers when the queue notifies about a job, and polls all their queues together for jobs that cause no notification.

import { createLoop } from '../../concurrency/loop.ts'
import type { Clock, Log } from '../../contract/index.ts'
import type { Worker } from '../worker/worker.ts'
import type { Queues } from './queue.ts'

export interface QueuePoller {
  /** Wakes the worker from now on when one of its queues may have work. The returned function ends this. */
  watch (worker: Worker): () => void
  close (): Promise<void>
}

/** Longest time until polling finds a job that became due, a job of a silent replica or, while no notifications arrive, any job. */
const lookWithinMs = 2_000
/** Random pause of 0.5 to 1 × `lookWithinMs`, so that no replica always polls just before the others. */
const nextLookMs = (): number => lookWithinMs * (0.5 + 0.5 * Math.random())

export function openLookout ({ queues, clock, log }: { queues: Queues, clock: Clock, log: Log }): QueuePoller {
  const workers = new Set<Worker>()
  const wake = (source?: string): void => { for (const worker of workers) worker.wake(source) }
  const forget = queues.onJob(wake)
  let isBlind = false

  /** Takes two queries, however many plugins and queues there are, and one more for each queue with lost jobs. */
  const look = async (): Promise<void> => {
    const names = [...workers].flatMap(({ sources }) => sources)
    if (names.length === 0) return
    await queues.failLost(names)
    for (const name of await queues.findDue(names)) wake(name)
  }
  const step = async (): Promise<void> => {
    try {
      await look()
      if (isBlind) log.info('the task queues can be polled again')
      isBlind = false
    } catch (err) {
      if (!isBlind) log.error({ err }, `the task queues cannot be polled: due jobs wait. The host retries within ${lookWithinMs / 1_000} s`)
      isBlind = true
    }
  }
  const loop = createLoop({ clock, pauseMs: nextLookMs, step })
  loop.begin()

  return {
    watch: worker => {
      workers.add(worker)
      return () => { workers.delete(worker) }
    },
    close: async () => {
      forget()
      await loop.end()
    }
  }
}
