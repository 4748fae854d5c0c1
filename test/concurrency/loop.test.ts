// A loop with pauses that can be ended early, on a clock that the test moves.

import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { test } from 'node:test'
import { createLoop, pause, type Loop } from '../../core/concurrency/loop.ts'
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts'

interface Counted { clock: FakeClock, loop: Loop, steps: { atMs: number, isWoken: boolean }[] }

/** A loop that pauses 100 ms and notes each step. */
function count (work: () => void | Promise<void> = () => { /* Nothing. */ }): Counted {
  const clock = createFakeClock(0)
  const steps: Counted['steps'] = []
  const step = (isWoken: boolean): void | Promise<void> => {
    steps.push({ atMs: clock.now(), isWoken })
    return work()
  }
  return { clock, steps, loop: createLoop({ clock, pauseMs: 100, step }) }
}

test('a pause tells whether it has passed or its signal has ended it', async () => {
  const clock = createFakeClock(0)
  const ending = new AbortController()
  const passed = pause(clock, 100, ending.signal)
  const ended = pause(clock, 200, ending.signal)
  await clock.advance(100)
  assert.equal(await passed, true)
  ending.abort()
  assert.equal(await ended, false)
  assert.equal(await pause(clock, 100, ending.signal), false)
})

test('a pause rejects when the clock fails without its signal', async () => {
  const clock = { sleep: () => Promise.reject(new Error('the plugin has ended')) }
  await assert.rejects(pause(clock, 100, new AbortController().signal), /the plugin has ended/)
})

test('a step comes after each pause, and the next pause begins when the step is over', async () => {
  const gate = Promise.withResolvers<undefined>()
  const { clock, loop, steps } = count(() => gate.promise)
  loop.begin()
  await clock.advance(99)
  assert.equal(steps.length, 0)
  await clock.advance(201)
  assert.deepEqual(steps, [{ atMs: 100, isWoken: false }])
  gate.resolve(undefined)
  await clock.advance(100)
  assert.deepEqual(steps.map(({ atMs }) => atMs), [100, 400])
  await loop.end()
})

test('the pause is asked for before each step when it is a function', async () => {
  const clock = createFakeClock(0)
  const at: number[] = []
  const loop = createLoop({ clock, pauseMs: () => 10 * (at.length + 1), step: () => { at.push(clock.now()) } })
  loop.begin()
  await clock.advance(60)
  assert.deepEqual(at, [10, 30, 60])
  await loop.end()
})

test('a wake-up ends the pause once, however often it comes', async () => {
  const { clock, loop, steps } = count()
  loop.begin()
  loop.wake()
  loop.wake()
  await clock.advance(50)
  assert.deepEqual(steps, [{ atMs: 0, isWoken: true }])
  await clock.advance(50)
  assert.deepEqual(steps[1], { atMs: 100, isWoken: false })
  await loop.end()
})

test('a wake-up during a step, or before the loop begins, ends the next pause', async () => {
  let gate = Promise.withResolvers<undefined>()
  const { loop, steps } = count(() => gate.promise)
  loop.wake()
  loop.begin()
  await turn()
  assert.equal(steps.length, 1)
  loop.wake()
  const first = gate
  gate = Promise.withResolvers()
  first.resolve(undefined)
  await turn()
  assert.deepEqual(steps.map(({ isWoken }) => isWoken), [true, true])
  gate.resolve(undefined)
  await loop.end()
})

test('the end waits for the step under way and begins no other, and nothing sleeps any more', async () => {
  const gate = Promise.withResolvers<undefined>()
  const { clock, loop, steps } = count(() => gate.promise)
  loop.begin()
  await clock.advance(100)
  let hasEnded = false
  const ended = loop.end().then(() => { hasEnded = true })
  await turn()
  assert.equal(hasEnded, false)
  gate.resolve(undefined)
  await ended
  await clock.advance(1_000)
  assert.equal(steps.length, 1)
  assert.equal(clock.sleepers, 0)
})
