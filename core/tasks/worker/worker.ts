// Processes a task's queues in this replica: claims the jobs it may run, sends heartbeats for them, settles them, gives back those it cannot finish.

import { createLoop, pause } from '../../concurrency/loop.ts'
import type { Clock, Log } from '../../contract/index.ts'
import type { Claim, Queues } from '../queue/queue.ts'
import { createCompletion } from './completion.ts'
import { createPrefetch } from './prefetch.ts'
import { ClaimLost, type Outcome } from './run.ts'

export interface WorkerParts {
  readonly queues: Queues
  /** Name of the task. */
  readonly name: string
  /** Names of the queues that contain the task's jobs. */
  readonly sources: readonly string[]
  /** The queue among `sources` in which a job may wait for the end of another job. */
  readonly keyed?: string | undefined
  readonly concurrency: number
  /** Must not reject. `abandon` aborts when the worker no longer waits for the run. */
  readonly run: (claim: Claim, abandon: AbortSignal) => Promise<Outcome>
  /** Settles a claim whose run failed. */
  readonly fail: (claim: Claim, error: unknown) => Promise<void>
  readonly clock: Clock
  readonly log: Log
}

export interface Worker {
  readonly sources: readonly string[]
  /** Makes the worker try to claim at once, from one of its queues or from all. */
  wake (source?: string): void
  /**
   * Claims no more jobs, and waits until the running ones are finished and settled, for at most `drainMs`. Jobs that are unfinished by then go
   * back at once, and the further work of their handlers no longer counts. Rejects when jobs could not be given back: other replicas take them
   * over once this replica has been silent for them.
   */
  leave (drainMs: number): Promise<void>
}

/** Longest sleep of an idle worker, which `wake` ends. */
const idleMs = 3_600_000
/** Limit of unsettled claims. Finished runs that wait for their completion count, too: when the database falls behind, nothing more is claimed. */
const heldMax = 4_000
const readyMs = 4_000
const carefulMs = 60_000
/** Poll interval for `hurriedMs` after jobs were put off, because they come back a moment later. */
const hurriedPollMs = 100
const hurriedMs = 10_000
const touchEveryMs = 3_000
/** Pause after a failed call. */
const pauseMs = 1_000

/**
 * A job that crashes the process also loses the jobs running next to it. A job is therefore a suspect when its last attempt was lost, and this
 * is at least its third attempt or its last one. A replica runs one suspect at a time and claims nothing meanwhile: the culprit uses up its
 * attempts, the others complete.
 */
const lossesMax = 2
const isSuspect = ({ wasLost, retryCount, retryLimit }: Claim): boolean => wasLost && retryCount >= Math.min(lossesMax, retryLimit)

/** A job for a newer version of the plugin goes back this many times, which takes about an hour. */
export const aheadReturnsMax = 75
const aheadDelay = ({ returns }: Claim): number => Math.min(1_000 * 1.2 ** returns, 60_000)

interface Held {
  readonly claim: Claim
  readonly abandon: AbortController
  settled: Promise<void>
}

export function startWorker ({ queues, name, sources, keyed, concurrency, run, fail, clock, log }: WorkerParts): Worker {
  const pace = createPrefetch(concurrency)
  /** Claims that are not settled yet. */
  const held = new Map<Claim, Held>()
  /** Held claims whose handler has not begun. */
  const ready: Held[] = []
  let readyAt = 0
  /** Number of held claims whose handler runs. */
  let running = 0
  /** True while a suspect runs: it may crash this replica, and must not lose further claims that have not even begun. */
  let hasSuspect = false
  let hurriedUntilMs = 0
  /** Until then the worker does not prefetch: each claim that a dying replica loses has used up an attempt, even if it never began. */
  let carefulUntilMs = 0
  let isLeaving = false
  const leaving = new AbortController()
  /** Queues that may have jobs to claim. A queue goes to the end after its turn. */
  const due = new Set(sources)
  const completion = createCompletion({ queues, pause: () => pause(clock, pauseMs, leaving.signal), log, task: name })

  const settle = async (hold: Held, outcome: Outcome): Promise<void> => {
    const { claim, abandon } = hold
    // The job went back, or the claim is lost.
    if (abandon.signal.aborted) return
    if (outcome.kind === 'done') await completion.add(claim)
    else if (outcome.kind === 'failed') await fail(claim, outcome.error)
    else if (outcome.kind === 'ahead') await queues.defer(claim, 'waits for a newer version of its plugin', aheadDelay(claim))
    else if (outcome.kind === 'stopped') await queues.giveBack(claim.queue, [claim], 'stopped before its end')
  }

  const work = async (hold: Held): Promise<void> => {
    const { claim, abandon } = hold
    if (isSuspect(claim)) hasSuspect = true
    const begunAt = performance.now()
    const outcome = await run(claim, abandon.signal)
    pace.ran(performance.now() - begunAt)
    running -= 1
    if (isSuspect(claim)) hasSuspect = false
    startReady()
    if (ready.length === 0) claiming.wake()
    try {
      await settle(hold, outcome)
    } catch (err) {
      log.error({ err, task: name, attempt: claim.retryCount + 1 }, `a run of task "${name}" has ended, but that could not be recorded in the queue: the job runs again`)
    } finally {
      held.delete(claim)
      if (claim.queue === keyed) due.add(keyed)
      claiming.wake()
    }
  }

  const startReady = (): void => {
    while (running < concurrency && !isLeaving) {
      const hold = ready.shift()
      if (hold === undefined) return
      // The claim was lost while it waited.
      if (hold.abandon.signal.aborted) {
        held.delete(hold.claim)
        continue
      }
      running += 1
      hold.settled = work(hold)
    }
  }

  /** Puts off all suspects but one, and returns the remaining claims. */
  const putOffSuspects = async (source: string, claims: readonly Claim[]): Promise<readonly Claim[]> => {
    const more = claims.filter(isSuspect).slice(1)
    if (more.length > 0) {
      hurriedUntilMs = clock.now() + hurriedMs
      await queues.putOff(source, more)
    }
    return claims.filter(claim => !more.includes(claim))
  }

  const claimFrom = async (source: string): Promise<void> => {
    due.delete(source)
    const ahead = clock.now() < carefulUntilMs ? 0 : pace.ahead()
    const count = Math.min(concurrency - running + ahead, heldMax - held.size)
    let claims: readonly Claim[]
    try {
      const askedAt = performance.now()
      claims = await queues.claim(source, count)
      pace.claimed(performance.now() - askedAt)
      if (claims.some(({ wasLost }) => wasLost)) carefulUntilMs = clock.now() + carefulMs
      if (claims.length === count) due.add(source)
      claims = await putOffSuspects(source, claims)
    } catch (err) {
      // The poller wakes the worker again.
      log.error({ err, task: name }, `jobs of task "${name}" could not be claimed; the host retries`)
      return
    }
    if (isLeaving) {
      if (claims.length > 0) await queues.giveBack(source, claims, 'the replica that claimed it was about to end')
      return
    }
    for (const claim of claims) {
      const hold: Held = { claim, abandon: new AbortController(), settled: Promise.resolve() }
      held.set(claim, hold)
      ready.push(hold)
    }
    readyAt = performance.now()
    startReady()
  }

  const nextSource = (): string | undefined => {
    const [source] = due
    const isFree = ready.length === 0 && running < concurrency && held.size < heldMax && !hasSuspect
    return isFree && !isLeaving ? source : undefined
  }
  const claiming = createLoop({
    clock,
    pauseMs: () => clock.now() < hurriedUntilMs ? hurriedPollMs : idleMs,
    step: async isWoken => {
      if (!isWoken) for (const each of sources) due.add(each)
      // Runs that end in the same turn of the event loop lead to one claim, not one each.
      await new Promise(setImmediate)
      for (let source = nextSource(); source !== undefined; source = nextSource()) await claimFrom(source)
    }
  })

  const touch = async (): Promise<void> => {
    for (const source of sources) {
      const claims = [...held.keys()].filter(({ queue }) => queue === source)
      if (claims.length === 0) continue
      const ours = await queues.touch(source, claims)
      for (const claim of claims) if (!ours.has(claim)) held.get(claim)?.abandon.abort(new ClaimLost(name))
    }
  }
  const giveBack = async (holds: readonly Held[], message: string): Promise<void> => {
    for (const { claim, abandon } of holds) {
      abandon.abort(new Error(`Task "${name}" ${message}`))
      held.delete(claim)
    }
    for (const source of sources) {
      const claims = holds.map(({ claim }) => claim).filter(({ queue }) => queue === source)
      if (claims.length > 0) await queues.giveBack(source, claims, message)
    }
  }
  /** Gives back prefetched jobs that wait behind hanging runs, so that another replica can take them. */
  const letGo = async (): Promise<void> => {
    if (ready.length === 0 || performance.now() - readyAt < readyMs) return
    carefulUntilMs = clock.now() + carefulMs
    await giveBack(ready.splice(0), 'waited too long to begin')
  }
  const touching = createLoop({
    clock,
    pauseMs: touchEveryMs,
    step: async () => {
      if (!isLeaving) await letGo().catch((err: unknown) => log.warn({ err, task: name }, `jobs of task "${name}" that wait here could not be given back`))
      if (held.size > 0) await touch().catch((err: unknown) => log.warn({ err, task: name }, `the heartbeat of task "${name}" could not be recorded in the queue`))
    }
  })

  claiming.wake()
  claiming.begin()
  touching.begin()
  return {
    sources,
    wake: source => {
      if (source === undefined) for (const each of sources) due.add(each)
      else if (sources.includes(source)) due.add(source)
      else return
      claiming.wake()
    },
    leave: async drainMs => {
      isLeaving = true
      const claimed = claiming.end()
      const over = new AbortController()
      try {
        await giveBack(ready.splice(0), 'had not begun when its plugin ended')
        await Promise.race([
          (async () => { await claimed; await Promise.all([...held.values()].map(({ settled }) => settled)) })(),
          pause(clock, drainMs, over.signal)
        ])
        const left = [...held.values()]
        await giveBack(left, 'did not finish before its plugin ended')
        if (left.length > 0) log.warn({ task: name, count: left.length }, `${left.length} runs of task "${name}" did not finish before the plugin ended; they went back and are run again`)
      } finally {
        over.abort()
        // Claims that could not be given back must get no more heartbeats, or no other replica would take them over.
        for (const { abandon } of held.values()) abandon.abort(new Error(`Task "${name}" ended`))
        leaving.abort()
        await Promise.all([claimed, touching.end()])
      }
    }
  }
}
