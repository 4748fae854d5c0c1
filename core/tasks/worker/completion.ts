// Completes finished runs in the queue in batches: runs that end while a call is under way share the next call.

import type { Log } from '../../contract/index.ts'
import type { Claim, Queues } from '../queue/queue.ts'

interface CompletionDeps {
  readonly queues: Queues
  readonly pause: () => Promise<unknown>
  readonly log: Log
  readonly task: string
}

const triesMax = 10

/** `add` resolves once the queue has answered the call that completes the claim. */
export function createCompletion ({ queues, pause, log, task }: CompletionDeps): { add (claim: Claim): Promise<void> } {
  interface Waiting { readonly claims: Claim[], readonly done: Promise<void> }
  const waiting = new Map<string, Waiting>()
  const underWay = new Map<string, Promise<void>>()

  const complete = async (queue: string, claims: readonly Claim[]): Promise<void> => {
    for (let tries = 1; ; tries += 1) {
      try {
        const ours = await queues.complete(queue, claims)
        const lost = claims.length - ours.size
        if (lost > 0) log.warn({ task, count: lost }, `${lost} runs of task "${task}" ended after another replica had taken them over, or after they were cancelled`)
        return
      } catch (err) {
        if (tries === triesMax) throw err
        log.warn({ err, task }, `the end of runs of task "${task}" could not be recorded in the queue; the host retries`)
        await pause()
      }
    }
  }
  return {
    add: claim => {
      const { queue } = claim
      const joined = waiting.get(queue)
      if (joined !== undefined) {
        joined.claims.push(claim)
        return joined.done
      }
      const claims = [claim]
      const before = underWay.get(queue) ?? Promise.resolve()
      const done = before.catch(() => { /* The callers of that batch get its error. */ }).then(async () => {
        // Runs that end in the same turn of the event loop share one call.
        await new Promise(setImmediate)
        waiting.delete(queue)
        const finished = complete(queue, claims)
        underWay.set(queue, finished)
        await finished
      })
      waiting.set(queue, { claims, done })
      return done
    }
  }
}
