// When a task is due, on a clock that the test holds.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Clock } from '../../../core/contract/index.ts'
import { everyTick, tick, tickId } from '../../../core/tasks/schedule/tick.ts'

test('interval ticks are equally spaced, after the instant asked for, and equal for all replicas', () => {
  fc.assert(fc.property(fc.integer({ min: 100, max: 10_000_000 }), fc.integer({ min: 0, max: 2_000_000_000_000 }), (everyMs, afterMs) => {
    const next = everyTick('notes/purge', everyMs)
    const at = next(afterMs)
    assert.ok(at > afterMs && at <= afterMs + everyMs)
    assert.equal(next(at), at + everyMs)
    assert.equal(everyTick('notes/purge', everyMs)(at - 1), at)
  }))
})

test('two tasks of one interval are not due at the same instant', () => {
  assert.notEqual(everyTick('notes/purge', 3_600_000)(0), everyTick('notes/sweep', 3_600_000)(0))
})

test('a tick has one id, which no other task or instant has', () => {
  assert.equal(tickId('notes/purge', 1), tickId('notes/purge', 1))
  assert.equal(new Set([tickId('notes/purge', 1), tickId('notes/purge', 2), tickId('notes/sweep', 1)]).size, 3)
  assert.match(tickId('notes/purge', 1), /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/)
})

/** Time passes only by sleeping. */
function heldClock (nowMs: number): Clock & { pass (ms: number): void } {
  return {
    now: () => nowMs,
    sleep: async (ms, signal) => { signal?.throwIfAborted(); nowMs += ms },
    pass: ms => { nowMs += ms }
  }
}

const failed = (error: unknown): void => { throw new Error('no tick was to fail', { cause: error }) }

test('a tick that passes while the one before still runs is left out', async () => {
  const clock = heldClock(0)
  const ending = new AbortController()
  const due: number[] = []
  await tick({
    clock, failed,
    next: afterMs => (Math.floor(afterMs / 10) + 1) * 10,
    due: async atMs => {
      due.push(atMs)
      if (due.length === 1) clock.pass(25)
      if (due.length === 3) ending.abort()
    },
    stop: ending.signal
  })
  assert.deepEqual(due, [10, 40, 50])
})

test('a tick further away than a timer reaches is still kept', async () => {
  const clock = heldClock(0)
  const ending = new AbortController()
  const fortyDaysMs = 40 * 86_400_000
  let dueMs = 0
  await tick({ clock, failed, next: () => fortyDaysMs, due: async () => { dueMs = clock.now(); ending.abort() }, stop: ending.signal })
  assert.equal(dueMs, fortyDaysMs)
})

const hourMs = 3_600_000

/** Follows a task until its third tick; `next` may throw and may go back. */
async function follow (next: (afterMs: number) => number): Promise<{ due: number[], asked: number, failures: [string, number][] }> {
  const clock = heldClock(0)
  const ending = new AbortController()
  const due: number[] = []
  const failures: [string, number][] = []
  let asked = 0
  await tick({
    clock,
    next: afterMs => {
      asked += 1
      assert.ok(asked < 1_000, 'the loop is busy')
      return next(afterMs)
    },
    due: async atMs => {
      due.push(atMs)
      if (due.length === 3) ending.abort()
    },
    failed: (error, afterMs) => failures.push([(error as Error).message, afterMs]),
    stop: ending.signal
  })
  return { due, asked, failures }
}

test('where no tick can be computed, a later one is found and the failure is told once', async () => {
  const { due, asked, failures } = await follow(afterMs => {
    if (afterMs < 12 * hourMs) throw new Error('loop limit exceeded')
    return (Math.floor(afterMs / hourMs) + 1) * hourMs
  })
  assert.deepEqual(due, [13, 14, 15].map(hours => hours * hourMs))
  assert.deepEqual(failures, [['loop limit exceeded', 0]])
  assert.ok(asked < 20)
})

for (const [what, wrong] of [['in the past', -60_000], ['the last one', 0], ['none', NaN]] as const) {
  test(`a computed instant that is ${what} is no tick: the loop idles and goes on from a later one`, async () => {
    const { due, failures } = await follow(afterMs =>
      afterMs >= hourMs && afterMs < 9 * hourMs ? afterMs + wrong : (Math.floor(afterMs / hourMs) + 1) * hourMs)
    assert.deepEqual(due, [1, 10, 11].map(hours => hours * hourMs))
    assert.equal(failures.length, 1)
    assert.match(failures[0]?.[0] ?? '', /is not later than 3600000/)
  })
}

test('a task whose ticks can never be computed retries about once a minute until its plugin ends', async () => {
  const clock = heldClock(0)
  const ending = new AbortController()
  let asked = 0
  let told = 0
  await tick({
    clock,
    next: () => {
      asked += 1
      if (clock.now() >= 24 * hourMs) ending.abort()
      throw new Error('never')
    },
    due: async () => assert.fail('nothing is due'),
    failed: () => { told += 1 },
    stop: ending.signal
  })
  assert.ok(asked > 24 && asked < 24 * 60, `${asked} times`)
  assert.ok(told > 12 && told <= 24, `${told} times`)
})

test('a clock that is set forward while a task waits is seen within half a minute', async () => {
  const clock = heldClock(0)
  const ending = new AbortController()
  const latenesses: number[] = []
  let hasJumped = false
  const jumping: Clock = {
    now: () => clock.now(),
    sleep: async (ms, signal) => {
      await clock.sleep(ms, signal)
      if (!hasJumped) clock.pass(40 * 60_000)
      hasJumped = true
    }
  }
  await tick({
    clock: jumping, failed, next: () => hourMs, stop: ending.signal,
    due: async atMs => { latenesses.push(clock.now() - atMs); ending.abort() }
  })
  assert.deepEqual(latenesses, [0])
})

test('a clock that is set back by a day does not silence a task for a day', async () => {
  const clock = heldClock(24 * hourMs)
  const ending = new AbortController()
  const due: number[] = []
  await tick({
    clock, failed, next: afterMs => (Math.floor(afterMs / hourMs) + 1) * hourMs, stop: ending.signal,
    due: async atMs => {
      due.push(atMs)
      if (due.length === 1) clock.pass(-24 * hourMs)
      if (due.length === 3) ending.abort()
    }
  })
  assert.deepEqual(due, [25, 2, 3].map(hours => hours * hourMs))
})

test('a clock that is set back by seconds runs no tick twice', async () => {
  const clock = heldClock(0)
  const ending = new AbortController()
  const due: number[] = []
  await tick({
    clock, failed, next: afterMs => (Math.floor(afterMs / 10_000) + 1) * 10_000, stop: ending.signal,
    due: async atMs => {
      due.push(atMs)
      clock.pass(-45_000)
      if (due.length === 4) ending.abort()
    }
  })
  assert.deepEqual(due, [10_000, 20_000, 30_000, 40_000])
})
