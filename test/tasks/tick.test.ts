// When a task is due, on a clock that the test holds.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Clock } from '../../core/contract/index.ts'
import { everyTick, tick, tickId } from '../../core/tasks/tick.ts'

test('ticks of an interval are equally far apart, after the instant asked for, and the same for every replica', () => {
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

test('a tick that passes while the one before still runs is left out', async () => {
  const clock = heldClock(0)
  const ending = new AbortController()
  const due: number[] = []
  await tick({
    clock,
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
  await tick({ clock, next: () => fortyDaysMs, due: async () => { dueMs = clock.now(); ending.abort() }, stop: ending.signal })
  assert.equal(dueMs, fortyDaysMs)
})
