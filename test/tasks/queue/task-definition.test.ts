// What a declared task may say, and how a wrong one is told.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readDuration } from '../../../core/contract/duration.ts'
import { z, type Duration } from '../../../core/contract/index.ts'
import type { TaskRecord } from '../../../core/handover/task-record.ts'
import { InvalidTasks, isScheduled, readTasks, retryDelay } from '../../../core/tasks/queue/task-definition.ts'

const handler = (): void => undefined
const every = (name: string, interval: unknown, options: object = {}): TaskRecord =>
  ({ kind: 'every', name, interval: interval as Duration, options, handler })

const queue = (name: string, options: object = {}): TaskRecord =>
  ({ kind: 'queue', name, options: { input: z.object({}), ...options }, handler })

test('a duration is whole milliseconds or a whole number with a unit, and nothing else', () => {
  const read = (text: unknown): number | undefined => readDuration(text as Duration)
  assert.deepEqual(['250ms', '10s', '5m', '2h', '1d', 1500].map(read), [250, 10_000, 300_000, 7_200_000, 86_400_000, 1_500])
  assert.deepEqual(['10', '10 s', '1.5s', '-1s', '0s', 's', '1w', '', 0, -1, 1.5, NaN, Infinity].map(read), Array(13).fill(undefined))
})

test('a task runs in the cluster, within a minute, unless it says otherwise', () => {
  const [plan] = readTasks('notes', [every('purge', '10s')])
  assert.deepEqual(plan, { name: 'notes/purge', once: 'cluster', timeoutMs: 60_000, handler, ticks: { everyMs: 10_000 } })
  const [other] = readTasks('notes', [every('poll', '100ms', { once: 'replica', timeout: '2s' })])
  assert.ok(other !== undefined && isScheduled(other))
  assert.deepEqual([other.once, other.timeoutMs], ['replica', 2_000])
})

test('everything that is wrong with a plugin\'s tasks is one error that names each', () => {
  const tasks: TaskRecord[] = [
    every('Purge', '10s'), every('twice', '10s'), every('twice', '10s'), every('soon', '999ms'), every('sooner', '99ms', { once: 'replica' }),
    every('vague', 'often'), every('long', '1d', { timeout: '2d' }),
    { kind: 'cron', name: 'seconds', expression: '0 0 3 * * *', options: {}, handler },
    { kind: 'cron', name: 'number', expression: 5 as unknown as string, options: { timezone: 2 as unknown as string }, handler },
    queue('unchecked', { input: undefined }), queue('crowd', { concurrency: 0 }),
    queue('stubborn', { retry: { limit: 101, backoff: 'random', delay: '2d' } }),
    { kind: 'event', name: 'Note.Written', handler }, { kind: 'event', name: 'note.gone', handler }, { kind: 'event', name: 'note.gone', handler }
  ]
  assert.throws(() => readTasks('notes', tasks), (error: InvalidTasks) => {
    assert.equal(error.code, 'BULKHEAD_TASKS_INVALID')
    const named = [
      /"Purge": the name/, /"twice": is declared twice/, /"soon": .*at least 1000 ms/, /"sooner": .*at least 100 ms/,
      /"vague": .*"often"/, /"long": timeout "2d"/, /"seconds": .*five fields/,
      /"number": timezone must be a text.*not number/, /"number": the cron expression must be a text, not number/,
      /"unchecked": "input" must be a zod schema/, /"crowd": concurrency/, /"stubborn": retry.limit/, /"stubborn": retry.backoff .*"random"/,
      /"stubborn": retry.delay "2d"/,
      /event "Note.Written": the name/, /event "note.gone": is subscribed to twice/
    ]
    assert.equal(error.problems.length, named.length)
    for (const [at, pattern] of named.entries()) assert.match(error.problems[at] ?? '', pattern)
    return true
  })
})

test('a queue tries five times more, after twice as long each time, unless it says otherwise', () => {
  const [plan, other] = readTasks('notes', [
    queue('deliver'),
    queue('poll', { retry: { limit: 2, backoff: 'fixed', delay: '5s' }, timeout: '2s', concurrency: 9 })
  ])
  assert.deepEqual(plan, { name: 'notes/deliver', timeoutMs: 60_000, handler, concurrency: 4, retry: { limit: 5, delayMs: 1_000, isExponential: true } })
  assert.deepEqual(other, { name: 'notes/poll', timeoutMs: 2_000, handler, concurrency: 9, retry: { limit: 2, delayMs: 5_000, isExponential: false } })
})

test('the time until the next attempt doubles up to an hour, and is spread by a quarter', () => {
  const delays = (isExponential: boolean, random: number): number[] =>
    [1, 2, 3, 50].map(attempts => retryDelay({ limit: 5, delayMs: 1_000, isExponential }, attempts, random))
  assert.deepEqual(delays(true, 1), [1_000, 2_000, 4_000, 3_600_000])
  assert.deepEqual(delays(true, 0), [750, 1_500, 3_000, 2_700_000])
  assert.deepEqual(delays(false, 1), [1_000, 1_000, 1_000, 1_000])
})
