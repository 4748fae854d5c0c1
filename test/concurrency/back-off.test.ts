// The pause before a retry.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { backOff } from '../../core/concurrency/back-off.ts'

test('the pause doubles with each failure, up to its maximum, however many failures there were', () => {
  const pause = { firstMs: 100, maxMs: 700 }
  assert.deepEqual([1, 2, 3, 4, 5, 10_000].map(failures => backOff(failures, pause)), [100, 200, 400, 700, 700, 700])
})

test('jitter takes off at most its part of the pause', () => {
  const pause = { firstMs: 100, maxMs: 400, jitter: 0.25 }
  assert.deepEqual([0, 0.5, 1].map(random => backOff(3, pause, random)), [300, 350, 400])
  const pauses = Array.from({ length: 100 }, () => backOff(3, pause))
  assert.ok(pauses.every(ms => ms >= 300 && ms <= 400))
  assert.ok(new Set(pauses).size > 50)
})
