// The clock of budgets: it stands still while the process does not run.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRunClock } from '../../core/concurrency/run-clock.ts'
import { createFakeClock } from '../support/fake-clock.ts'

/** A clock whose wakes can be late, as in a process that does not run. */
function createLateClock () {
  const clock = createFakeClock()
  const late = { cpuMs: 0, freezeMs: 0 }
  const run = createRunClock({
    now: () => clock.now() + late.freezeMs,
    sleep: (ms, signal) => clock.sleep(ms, signal)
  }, () => late.cpuMs)
  return { clock, late, run }
}

/** Sleeps; the result tells whether the sleep has ended. */
function beginSleep (run: { sleep (ms: number): Promise<void> }, ms: number): () => boolean {
  let isOver = false
  void run.sleep(ms).then(() => { isOver = true })
  return () => isOver
}

test('while the process runs, the clock goes like any other', async () => {
  const { clock, run } = createLateClock()
  const began = run.now()
  const isOver = beginSleep(run, 1_000)
  await clock.advance(990)
  assert.equal(isOver(), false)
  await clock.advance(11)
  assert.equal(isOver(), true)
  assert.equal(run.now() - began, 1_001)
})

test('a process that was frozen has used up no more than a moment', async () => {
  const { clock, late, run } = createLateClock()
  const began = run.now()
  const isOver = beginSleep(run, 1_000)
  await clock.advance(500)
  late.freezeMs = 60_000
  await clock.advance(450)
  assert.equal(isOver(), false)
  await clock.advance(50)
  assert.equal(isOver(), true)
  assert.ok(run.now() - began < 1_100, `${run.now() - began} ms`)
})

test('a process that gets a tenth of a processor uses up its budget as slowly', async () => {
  const { clock, late, run } = createLateClock()
  const isOver = beginSleep(run, 1_000)
  // Each wake comes 225 ms late, and 5 ms of each were spent computing.
  for (let beat = 0; beat < 30; beat += 1) {
    late.freezeMs += 225
    late.cpuMs += 5
    await clock.advance(25)
  }
  assert.equal(isOver(), false)
  for (let beat = 0; beat < 10; beat += 1) {
    late.freezeMs += 225
    late.cpuMs += 5
    await clock.advance(25)
  }
  assert.equal(isOver(), true)
})

test('code that computes without a pause uses up the budget', async () => {
  const { clock, late, run } = createLateClock()
  const isOver = beginSleep(run, 1_000)
  await clock.advance(25)
  late.freezeMs = 1_000
  late.cpuMs = 1_000
  await clock.advance(25)
  assert.equal(isOver(), true)
})

test('two that sleep at once see the same time', async () => {
  const { clock, late, run } = createLateClock()
  const first = beginSleep(run, 200)
  const second = beginSleep(run, 300)
  await clock.advance(100)
  late.freezeMs = 10_000
  await clock.advance(60)
  assert.deepEqual([first(), second()], [false, false])
  await clock.advance(60)
  assert.deepEqual([first(), second()], [true, false])
  await clock.advance(100)
  assert.deepEqual([first(), second()], [true, true])
})

test('an aborted sleep ends at once, with the reason of its signal', async () => {
  const { run } = createLateClock()
  const controller = new AbortController()
  const sleep = run.sleep(1_000, controller.signal)
  controller.abort(new Error('enough'))
  await assert.rejects(sleep, /enough/)
})
