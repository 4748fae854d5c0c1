// Reads a declared task into what the runner needs, and says everything that is wrong with it.

import type { Duration, TaskHandler, TaskRecord } from '../contract/index.ts'

export interface Plan {
  /** `<plugin>/<task>`: the name in log lines and of the queue. */
  readonly name: string
  readonly once: 'cluster' | 'replica'
  readonly timeoutMs: number
  readonly handler: TaskHandler
  readonly ticks: { readonly everyMs: number } | { readonly cron: string, readonly timezone: string }
}

export class InvalidTasks extends Error {
  readonly code = 'BULKHEAD_TASKS_INVALID'
  readonly problems: readonly string[]

  constructor (plugin: string, problems: readonly string[], options?: ErrorOptions) {
    super([`Plugin "${plugin}" declares tasks that cannot run:`, ...problems].join('\n  '), options)
    this.name = 'InvalidTasks'
    this.problems = problems
  }
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const dayMs = 86_400_000

/** Milliseconds, or undefined for what is no duration. */
export function readDuration (duration: Duration): number | undefined {
  if (typeof duration === 'number') return Number.isSafeInteger(duration) && duration > 0 ? duration : undefined
  const [, count, unit = ''] = /^([1-9]\d{0,8})(ms|s|m|h|d)$/.exec(duration) ?? []
  return count === undefined ? undefined : Number(count) * (units[unit] ?? NaN)
}

export function readTasks (plugin: string, tasks: readonly TaskRecord[]): Plan[] {
  const problems: string[] = []
  const names = new Set<string>()
  const plans = tasks.map((task): Plan => {
    const complain = (what: string): void => { problems.push(`task "${task.name}": ${what}`) }
    if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(task.name)) complain('the name must be lower-case letters, digits and dashes, at most 63')
    if (names.has(task.name)) complain('is declared twice; a name belongs to one task')
    names.add(task.name)

    const { once = 'cluster', timeout = '60s' } = task.options
    const timeoutMs = readDuration(timeout) ?? NaN
    if (!(timeoutMs <= dayMs)) complain(`timeout ${JSON.stringify(timeout)} must be milliseconds or such as "30s" or "5m", at most a day`)
    const plan = { name: `${plugin}/${task.name}`, once, timeoutMs, handler: task.handler }
    if (task.kind === 'cron') {
      if (task.expression.trim().split(/\s+/).length !== 5) complain(`"${task.expression}" must have five fields: minute, hour, day of month, month, day of week`)
      return { ...plan, ticks: { cron: task.expression, timezone: task.options.timezone ?? 'UTC' } }
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
