// Many deadlines on one sleeper.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from '../../core/contract/clock.ts'
import { Alarm } from '../../core/kernel/alarm.ts'
import { createFakeClock } from '../support/fake-clock.ts'

test('a thousand deadlines ring in order, each at its own time, and share one sleeper', async () => {
  const clock = createFakeClock(0)
  const alarm = new Alarm(clock)
  const rung: number[] = []
  for (let index = 0; index < 1_000; index += 1) {
    const atMs = (index * 7_919) % 1_000
    alarm.at(atMs, () => {
      assert.equal(clock.now(), atMs)
      rung.push(atMs)
    })
    assert.equal(clock.sleepers, 1)
  }
  await clock.runAll()
  assert.deepEqual(rung, Array.from({ length: 1_000 }, (_, index) => index))
})

test('a cancelled deadline does not ring, and nobody sleeps for it when no other is left', async () => {
  const clock = createFakeClock(0)
  const alarm = new Alarm(clock)
  const rung: string[] = []
  const cancel = [10, 20, 30].map(atMs => alarm.at(atMs, () => rung.push(`${atMs}`)))
  cancel[0]?.()
  cancel[2]?.()
  await clock.advance(25)
  assert.deepEqual(rung, ['20'])
  assert.equal(clock.sleepers, 0)
  cancel[1]?.()
  alarm.at(40, () => rung.push('40'))
  await clock.runAll()
  assert.deepEqual(rung, ['20', '40'])
})

test('a deadline that has passed rings at once, but not from within the call', async () => {
  const clock = createFakeClock(1_000)
  const rung: number[] = []
  new Alarm(clock).at(0, () => rung.push(clock.now()))
  assert.deepEqual(rung, [])
  await clock.runAll()
  assert.deepEqual(rung, [1_000])
})

test('a deadline farther away than a timer can hold is kept', async () => {
  const clock = createFakeClock(0)
  const yearMs = 365 * 24 * 3_600_000
  const rung: number[] = []
  new Alarm(clock).at(yearMs, () => rung.push(clock.now()))
  await clock.runAll()
  assert.deepEqual(rung, [yearMs])
})

test('a sleeper that wakes while a nearer deadline is set leaves only the nearer one\'s behind', async () => {
  const wakes: (() => void)[] = []
  let sleeping = 0
  const clock: Clock = {
    now: () => 0,
    sleep: (_ms, signal) => new Promise((resolve, reject) => {
      sleeping += 1
      wakes.push(resolve)
      signal?.addEventListener('abort', () => { sleeping -= 1; reject(new Error('aborted')) })
    })
  }
  const alarm = new Alarm(clock)
  const cancelFar = alarm.at(100, () => undefined)
  wakes[0]?.()
  const cancelNear = alarm.at(50, () => undefined)
  await new Promise(setImmediate)
  cancelFar()
  cancelNear()
  assert.equal(sleeping, 0)
})
