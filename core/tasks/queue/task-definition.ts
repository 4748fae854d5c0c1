// Turns a plugin's declared tasks into the definitions that the runner uses, and reports all problems in them together.

import { backOff } from '../../concurrency/back-off.ts'
import { readDuration } from '../../contract/duration.ts'
import type { QueueHandler, QueueOptions, TaskHandler } from '../../contract/index.ts'
import type { TaskRecord } from '../../handover/task-record.ts'

interface Runnable {
  /** `<plugin>/<task>`, or `<plugin>/on/<event>` for an event: the name of the queue and the name in log lines. */
  readonly name: string
  readonly timeoutMs: number
}

export interface ScheduledDefinition extends Runnable {
  readonly handler: TaskHandler
  readonly once: 'cluster' | 'replica'
  readonly ticks: { readonly everyMs: number } | { readonly cron: string, readonly timezone: string }
}

export interface QueueDefinition extends Runnable {
  readonly handler: QueueHandler
  readonly concurrency: number
  readonly retry: Retry
  /** Version of the plugin; undefined for events, which another plugin publishes. */
  readonly version?: string
}

export interface Retry {
  readonly limit: number
  readonly delayMs: number
  readonly isExponential: boolean
}

export type TaskDefinition = ScheduledDefinition | QueueDefinition

export const isScheduled = (plan: TaskDefinition): plan is ScheduledDefinition => 'ticks' in plan

export class InvalidTasks extends Error {
  readonly code = 'BULKHEAD_TASKS_INVALID'
  readonly problems: readonly string[]

  constructor (plugin: string, problems: readonly string[], options?: ErrorOptions) {
    super([`Plugin "${plugin}" declares tasks that cannot run:`, ...problems].join('\n  '), options)
    this.name = 'InvalidTasks'
    this.problems = problems
  }
}

const dayMs = 86_400_000
const longestDelayMs = 3_600_000
const durationRule = 'must be milliseconds or such as "30s" or "5m", at most a day'
const concurrencyMax = 1_000
const retriesMax = 100
const eventPlan = { timeoutMs: 60_000, concurrency: 4, retry: { limit: 10, delayMs: 1_000, isExponential: true } }

/** Milliseconds that a handler may take to return after its time-out, or its transaction to roll back. The run waits no longer. */
export const heedMs = 5_000
/** After this further time the queue stops waiting for the replica, too. */
const expiryMarginMs = 5_000
const tickRetryLimit = 3

export interface Terms {
  readonly retryLimit: number
  readonly expireMs: number
}
const terms = (retryLimit: number, timeoutMs: number): Terms => ({ retryLimit, expireMs: timeoutMs + heedMs + expiryMarginMs })
export const retryPolicyOf = (plan: TaskDefinition): Terms => terms(isScheduled(plan) ? tickRetryLimit : plan.retry.limit, plan.timeoutMs)
export const eventTerms = terms(eventPlan.retry.limit, eventPlan.timeoutMs)

export const eventQueue = (plugin: string, event: string): string => `${plugin}/on/${event}`
/** Jobs with a key are in a separate queue next to the task's own. */
export const keyedQueue = (name: string): string => `${name}/keyed`

/**
 * Milliseconds until the next attempt, after `attempts` failed ones. Up to a quarter is taken off at random, so that jobs that failed together
 * are not retried together.
 */
export function retryDelay ({ delayMs, isExponential }: Retry, attempts: number, random = Math.random()): number {
  return backOff(isExponential ? attempts : 1, { firstMs: delayMs, maxMs: Math.max(longestDelayMs, delayMs), jitter: 0.25 }, random)
}

export function readTasks (plugin: string, tasks: readonly TaskRecord[]): TaskDefinition[] {
  const problems: string[] = []
  const names = new Set<string>()
  const events = new Set<string>()
  const plans = tasks.map((task): TaskDefinition => {
    const complain = (what: string): void => { problems.push(`${task.kind === 'event' ? 'event' : 'task'} "${task.name}": ${what}`) }
    if (task.kind === 'event') {
      if (!isEventName(task.name)) complain(eventNameRule)
      if (events.has(task.name)) complain('is subscribed to twice; a plugin has one handler for it')
      events.add(task.name)
      return { ...eventPlan, name: eventQueue(plugin, task.name), handler: task.handler }
    }
    if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(task.name)) complain('the name must be lower-case letters, digits and dashes, at most 63')
    if (names.has(task.name)) complain('is declared twice; a name belongs to one task')
    names.add(task.name)

    const { timeout = '60s' } = task.options
    const timeoutMs = readDuration(timeout) ?? NaN
    if (!(timeoutMs <= dayMs)) complain(`timeout ${JSON.stringify(timeout)} ${durationRule}`)
    const name = `${plugin}/${task.name}`
    if (task.kind === 'queue') return { name, timeoutMs, handler: task.handler, ...task.version !== undefined && { version: task.version }, ...readQueue(task.options, complain) }
    const { once = 'cluster' } = task.options
    const plan = { name, once, timeoutMs, handler: task.handler }
    if (task.kind === 'cron') {
      const timezone = task.options.timezone ?? 'UTC'
      // A plugin in JavaScript may pass any value.
      if (typeof (timezone as unknown) !== 'string') complain(`timezone must be a text such as "Europe/Paris", not ${typeof timezone}`)
      if (typeof (task.expression as unknown) !== 'string') complain(`the cron expression must be a text, not ${typeof task.expression}`)
      else if (task.expression.trim().split(/\s+/).length !== 5) complain(`"${task.expression}" must have five fields: minute, hour, day of month, month, day of week`)
      return { ...plan, ticks: { cron: task.expression, timezone } }
    }
    const everyMs = readDuration(task.interval) ?? NaN
    const leastMs = once === 'cluster' ? 1_000 : 100
    if (Number.isNaN(everyMs)) complain(`interval ${JSON.stringify(task.interval)} must be milliseconds or such as "250ms", "10s", "5m", "2h", "1d"`)
    else if (everyMs < leastMs) complain(`interval must be at least ${leastMs} ms${once === 'cluster' ? '; with once: \'replica\' it may be 100 ms' : ''}`)
    return { ...plan, ticks: { everyMs } }
  })
  if (problems.length > 0) throw new InvalidTasks(plugin, problems)
  return plans
}

export const eventNameRule = 'the name must be lower-case letters, digits, dashes and dots, at most 100'
export const isEventName = (name: string): boolean => /^[a-z0-9][a-z0-9.-]{0,99}$/.test(name)

function readQueue (
  { retry = {}, concurrency = 4, input }: QueueOptions, complain: (what: string) => void
): Pick<QueueDefinition, 'concurrency' | 'retry'> {
  const { limit = 5, backoff = 'exponential', delay = '1s' } = retry
  const delayMs = readDuration(delay) ?? NaN
  // A plugin in JavaScript may leave it out.
  if (typeof (input as Partial<typeof input> | undefined)?.safeParse !== 'function') complain('"input" must be a zod schema: what is sent is checked against it')
  if (!(Number.isInteger(concurrency) && concurrency >= 1 && concurrency <= concurrencyMax)) complain(`concurrency must be a whole number from 1 to ${concurrencyMax}`)
  if (!(Number.isInteger(limit) && limit >= 0 && limit <= retriesMax)) complain(`retry.limit must be a whole number from 0 to ${retriesMax}`)
  if (!['exponential', 'fixed'].includes(backoff)) complain(`retry.backoff must be "exponential" or "fixed", not ${JSON.stringify(backoff)}`)
  if (!(delayMs <= dayMs)) complain(`retry.delay ${JSON.stringify(delay)} ${durationRule}`)
  return { concurrency, retry: { limit, delayMs, isExponential: backoff === 'exponential' } }
}
