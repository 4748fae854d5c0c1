// Runs a handler once, under its time-out and the ends that may come before it, and tells how it went. Never rejects.

import type { Clock, Log, Postgres, QueueRun, Transaction } from '../contract/index.ts'
import { createEffect } from './effect.ts'
import { heedMs, type Plan } from './plan.ts'

export interface Attempt {
  readonly id: string
  readonly attemptId: string
  readonly attempt: number
  readonly input?: unknown
  /** Completes the job in the handler's transaction; false when somebody else has it by now. Undefined for what is no job. */
  readonly completeIn?: (tx: Transaction) => Promise<boolean>
}

/**
 * `committed`: done, and the completion with it. `stopped`: not finished because the plugin ends, so somebody else should run it again.
 * `lost`: another replica has it, or it was cancelled.
 */
export type Outcome = { readonly kind: 'done' | 'committed' | 'stopped' | 'lost' } | { readonly kind: 'failed', readonly error: unknown }

/** The reason of a signal when the claim is not this replica's any more. */
export class ClaimLost extends Error {
  override readonly name = 'ClaimLost'

  constructor (task: string) {
    super(`Task "${task}" was taken over by another replica, or cancelled, so this run of it counts no more`)
  }
}

interface Parts {
  readonly log: Log
  readonly clock: Clock
  readonly postgres?: Postgres | undefined
  /** Aborts when the plugin is to end: the handler is told, and may still finish. */
  readonly stop: AbortSignal
  /** Aborts when nobody waits for the handler any more. */
  readonly abandon: AbortSignal
}

export async function run (plan: Plan, given: Attempt, { log: pluginLog, clock, postgres, stop, abandon }: Parts): Promise<Outcome> {
  const { id, attemptId, attempt, input, completeIn } = given
  const log = pluginLog.child({ task: plan.name, attemptId })
  const late = new AbortController()
  const over = new AbortController()
  const givenUp = Promise.withResolvers<never>()
  const giveUp = (reason: unknown): void => givenUp.reject(reason)
  givenUp.promise.catch(() => undefined)
  const timer = clock.sleep(plan.timeoutMs, over.signal).then(async () => {
    late.abort(new Error(`Task "${plan.name}" ran longer than its ${plan.timeoutMs} ms`))
    await clock.sleep(heedMs, over.signal)
    log.error({ attempt }, `task "${plan.name}" does not mind its signal: it may go on, but nobody waits for it`)
    giveUp(late.signal.reason)
  }).catch((error: unknown) => { if (!over.signal.aborted) throw error })
  const abandoned = (): void => giveUp(abandon.reason)
  abandon.addEventListener('abort', abandoned)
  if (abandon.aborted) abandoned()

  const effect = createEffect(postgres)
  const call = async (): Promise<void> => {
    const run: QueueRun = { id, attemptId, attempt, signal: AbortSignal.any([stop, abandon, late.signal]), log, tx: effect.tx, input }
    await plan.handler(run)
  }
  try {
    await Promise.race([call(), givenUp.promise])
    if (late.signal.aborted) throw late.signal.reason
    if (!effect.isBegun()) return { kind: 'done' }
    await effect.commit(async tx => {
      abandon.throwIfAborted()
      if (completeIn !== undefined && !await completeIn(tx)) throw new ClaimLost(plan.name)
    })
    return { kind: completeIn === undefined ? 'done' : 'committed' }
  } catch (thrown) {
    // Of a handler that hangs inside a transaction of its own the end may never come.
    await Promise.race([effect.rollBack(), clock.sleep(heedMs, over.signal).catch(() => undefined)])
    const isLost = abandon.reason instanceof ClaimLost || thrown instanceof ClaimLost
    if (isLost) {
      log.warn({ attempt }, `task "${plan.name}" was taken over by another replica, or cancelled: what this run did through its transaction is rolled back`)
      return { kind: 'lost' }
    }
    if ((stop.aborted || abandon.aborted) && !late.signal.aborted) {
      log.info({ err: thrown, attempt }, `task "${plan.name}" was stopped before its end`)
      return { kind: 'stopped' }
    }
    const error = late.signal.aborted && thrown !== late.signal.reason ? new Error((late.signal.reason as Error).message, { cause: thrown }) : thrown
    log.error({ err: error, attempt }, `task "${plan.name}" failed`)
    return { kind: 'failed', error }
  } finally {
    over.abort()
    abandon.removeEventListener('abort', abandoned)
    await timer
  }
}
