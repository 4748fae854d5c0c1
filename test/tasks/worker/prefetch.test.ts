// How much is claimed ahead of need.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPrefetch } from '../../../core/tasks/worker/prefetch.ts'

test('the prefetch covers a claim\'s time: nothing at first or for long runs, at most two seconds', () => {
  const pace = createPrefetch(4)
  pace.claimed(20)
  assert.equal(pace.ahead(), 0, 'nothing is known of the runs')
  pace.ran(2)
  assert.equal(pace.ahead(), 40)
  const slow = createPrefetch(4)
  slow.claimed(20)
  slow.ran(500)
  assert.equal(slow.ahead(), 0)
  const stuck = createPrefetch(4)
  stuck.claimed(60_000)
  stuck.ran(100)
  assert.equal(stuck.ahead(), 80)
  const quick = createPrefetch(100)
  quick.claimed(10)
  quick.ran(0)
  assert.equal(quick.ahead(), 500)
})

test('one that is out of the way changes little, and what stays so is soon known', () => {
  const pace = createPrefetch(10)
  pace.claimed(10)
  for (let at = 0; at < 100; at += 1) pace.ran(1)
  pace.ran(100)
  assert.ok(pace.ahead() >= 9, `${pace.ahead()}`)
  for (let at = 0; at < 50; at += 1) pace.ran(1_000)
  assert.equal(pace.ahead(), 0)
})
