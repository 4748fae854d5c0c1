// Runs a handler once, under its time-out and its stop signals, and returns the outcome. Never rejects.

import type { Clock, Log, Postgres, QueueRun, Transaction } from '../../contract/index.ts'
import { asError } from '../../contract/thrown.ts'
import { heedMs, type TaskDefinition } from '../queue/task-definition.ts'
import type { Deadlines } from './run-deadline.ts'
import { createEffect, type RunTransaction } from './run-transaction.ts'

export interface RunInput {
  readonly id: string
  readonly attemptId: string
  readonly attempt: number
  readonly input?: unknown
  /** Whether the thrown error is no failure, because the job is for a newer version of the plugin than this one. */
  readonly isAhead?: (thrown: unknown) => boolean
  /** Completes the job in the handler's transaction; returns false when the claim is lost. Undefined for a run without a job. */
  readonly completeIn?: (tx: Transaction) => Promise<boolean>
}

/**
 * `committed`: done, and the completion is committed with the work. `stopped`: not finished because the plugin ends, so another worker should
 * run it again. `lost`: another replica has the job, or it was cancelled. `ahead`: the job is for a newer version of the plugin.
 */
export type Outcome = { readonly kind: 'done' | 'committed' | 'stopped' | 'lost' | 'ahead' } | { readonly kind: 'failed', readonly error: unknown }

/** Abort reason of a run's signal when this replica no longer owns the claim. */
export class ClaimLost extends Error {
  override readonly name = 'ClaimLost'

  constructor (task: string) {
    super(`Task "${task}" was taken over by another replica, or cancelled, so this run no longer counts`)
  }
}

interface RunDeps {
  readonly log: Log
  readonly clock: Clock
  /** Time-outs of this task's runs. */
  readonly deadlines: Deadlines
  readonly postgres?: Postgres | undefined
  /** Aborts when the plugin begins to end: the handler's signal aborts, and the handler may still finish. */
  readonly stop: AbortSignal
  /** Aborts when the host no longer waits for the handler. */
  readonly abandon: AbortSignal
}

export async function run (
  plan: TaskDefinition, given: RunInput, { log: pluginLog, clock, deadlines, postgres, stop, abandon }: RunDeps
): Promise<Outcome> {
  const { id, attemptId, attempt, input, isAhead, completeIn } = given
  // Log, signal and transaction are created when the handler first uses them: most handlers do little, and run ten thousand times a second.
  let ownLog: Log | undefined
  const log = (): Log => (ownLog ??= pluginLog.child({ task: plan.name, attemptId }))
  let late: AbortController | undefined
  /** The time-out error, once the time is up. */
  let lateness: Error | undefined
  const over = Promise.withResolvers<undefined>()
  const givenUp = Promise.withResolvers<never>()
  const giveUp = (reason: unknown): void => givenUp.reject(reason)
  givenUp.promise.catch(() => undefined)
  const inTime = deadlines.begin(() => {
    lateness = new Error(`Task "${plan.name}" ran longer than its ${plan.timeoutMs} ms`)
    late?.abort(lateness)
    void heed(clock, over.promise).then(isHeeded => {
      if (isHeeded) return
      log().error({ attempt }, `task "${plan.name}" ignores its signal: it may still run, but the host no longer waits for it`)
      giveUp(lateness)
    })
  })
  const abandoned = (): void => giveUp(abandon.reason)
  abandon.addEventListener('abort', abandoned)
  if (abandon.aborted) abandoned()

  const lateSignal = (): AbortSignal => {
    late ??= new AbortController()
    if (lateness !== undefined) late.abort(lateness)
    return late.signal
  }
  let effect: RunTransaction | undefined
  let hasEnded = false
  let signal: AbortSignal | undefined
  const call = async (): Promise<void> => {
    const run: QueueRun = {
      id, attemptId, attempt, input,
      get signal () { return (signal ??= AbortSignal.any([stop, abandon, lateSignal()])) },
      get log () { return log() },
      get tx () {
        effect ??= createEffect(postgres)
        if (hasEnded) void effect.rollBack()
        return effect.tx
      }
    }
    await plan.handler(run)
  }
  try {
    await Promise.race([call(), givenUp.promise])
    if (lateness !== undefined) throw lateness
    if (effect?.isBegun() !== true) return { kind: 'done' }
    await effect.commit(async tx => {
      abandon.throwIfAborted()
      if (completeIn !== undefined && !await completeIn(tx)) throw new ClaimLost(plan.name)
    })
    return { kind: completeIn === undefined ? 'done' : 'committed' }
  } catch (value) {
    // A handler may throw anything; the code below reads what it threw.
    const thrown = asError(value)
    // The rollback may never finish when the handler hangs inside a nested transaction, so the wait has a limit.
    if (effect !== undefined) await heed(clock, effect.rollBack())
    const isLost = abandon.reason instanceof ClaimLost || thrown instanceof ClaimLost
    if (isLost) {
      log().warn({ attempt }, `task "${plan.name}" was taken over by another replica, or cancelled: what this run did through its transaction is rolled back`)
      return { kind: 'lost' }
    }
    if ((stop.aborted || abandon.aborted) && lateness === undefined) {
      log().info({ err: thrown, attempt }, `task "${plan.name}" was stopped before its end`)
      return { kind: 'stopped' }
    }
    if (isAhead?.(thrown) === true) {
      log().info({ err: thrown, attempt }, `a job of task "${plan.name}" is for a newer version of the plugin than runs here, and goes back`)
      return { kind: 'ahead' }
    }
    const error = lateness !== undefined && thrown !== lateness ? new Error(lateness.message, { cause: thrown }) : thrown
    log().error({ err: error, attempt }, `task "${plan.name}" failed`)
    return { kind: 'failed', error }
  } finally {
    inTime()
    // A handler that still runs must not begin a transaction that would never end.
    hasEnded = true
    void effect?.rollBack()
    over.resolve(undefined)
    abandon.removeEventListener('abort', abandoned)
  }
}

/** Waits for `end` for at most `heedMs`; returns false when it was not over by then. `end` must not reject. */
async function heed (clock: Clock, end: Promise<unknown>): Promise<boolean> {
  const over = new AbortController()
  const isOver = await Promise.race([end.then(() => true), clock.sleep(heedMs, over.signal).then(() => false, () => true)])
  over.abort()
  return isOver
}
