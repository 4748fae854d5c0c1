// Runs a handler once, under its time-out and the plugin's end, and tells how it went. Never rejects.

import type { Clock, Log } from '../contract/index.ts'
import type { Plan } from './plan.ts'

export interface Attempt {
  readonly attemptId: string
  readonly attempt: number
}

/** `stopped`: cut short because the plugin ends, so somebody else should run it again. */
export type Outcome = 'done' | 'failed' | 'stopped'

interface Parts {
  readonly log: Log
  readonly clock: Clock
  /** Aborts when the plugin ends. */
  readonly stop: AbortSignal
}

export async function run (plan: Plan, { attemptId, attempt }: Attempt, { log: pluginLog, clock, stop }: Parts): Promise<Outcome> {
  const log = pluginLog.child({ task: plan.name, attemptId })
  const late = new AbortController()
  const over = new AbortController()
  const timer = clock.sleep(plan.timeoutMs, over.signal).then(
    () => late.abort(new Error(`Task "${plan.name}" ran longer than its ${plan.timeoutMs} ms`)),
    () => { /* The handler was back in time. */ })
  try {
    await plan.handler({ attemptId, attempt, signal: AbortSignal.any([stop, late.signal]), log })
    if (!late.signal.aborted) return 'done'
    log.error({ err: late.signal.reason as unknown, attempt }, `task "${plan.name}" failed`)
    return 'failed'
  } catch (thrown) {
    if (stop.aborted && !late.signal.aborted) {
      log.info({ err: thrown, attempt }, `task "${plan.name}" was stopped before its end`)
      return 'stopped'
    }
    log.error({ err: late.signal.aborted ? new Error((late.signal.reason as Error).message, { cause: thrown }) : thrown, attempt }, `task "${plan.name}" failed`)
    return 'failed'
  } finally {
    over.abort()
    await timer
  }
}
