// Wakes the workers of this replica: when the queue notifies of a job, and by a look at all their queues together for what it does not tell.

import type { Clock, Log } from '../../contract/index.ts'
import type { Worker } from '../worker/worker.ts'
import type { Queues } from './queue.ts'

export interface QueuePoller {
  /** From now on the worker is woken when one of its queues may have work. The result ends it. */
  watch (worker: Worker): () => void
  close (): Promise<void>
}

/** How long what has become due may wait, what a silent replica held, and everything while notifications do not come. */
const lookWithinMs = 2_000
/** At random, so that no replica goes on looking just before the others. */
const nextLookMs = (): number => lookWithinMs * (0.5 + 0.5 * Math.random())

export function openLookout ({ queues, clock, log }: { queues: Queues, clock: Clock, log: Log }): QueuePoller {
  const workers = new Set<Worker>()
  const closing = new AbortController()
  const wake = (source?: string): void => { for (const worker of workers) worker.wake(source) }
  const forget = queues.onJob(wake)
  let isBlind = false

  /** Two queries, however many plugins and queues there are. */
  const look = async (): Promise<void> => {
    const names = [...workers].flatMap(({ sources }) => sources)
    if (names.length === 0) return
    await queues.failLost(names)
    for (const name of await queues.findDue(names)) wake(name)
  }
  const looking = (async () => {
    for (;;) {
      await clock.sleep(nextLookMs(), closing.signal).catch((reason: unknown) => { if (!closing.signal.aborted) throw reason })
      if (closing.signal.aborted) return
      try {
        await look()
        if (isBlind) log.info('the queues of tasks can be looked at again')
        isBlind = false
      } catch (err) {
        if (!isBlind) log.error({ err }, `the queues of tasks cannot be looked at: what is due waits. It is tried again within ${lookWithinMs / 1_000} s`)
        isBlind = true
      }
    }
  })()

  return {
    watch: worker => {
      workers.add(worker)
      return () => { workers.delete(worker) }
    },
    close: async () => {
      forget()
      closing.abort()
      await looking
    }
  }
}
