// A limit of calls at the same time, with lines in which the others wait, on a clock that the test moves.

import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import { test } from 'node:test'
import { createLimit, type LimitCall, type Limit, type LimitOptions } from '../../core/concurrency/limit.ts'
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts'

interface Counted {
  readonly clock: FakeClock
  readonly limit: Limit
  /** Names of the calls whose work has begun, in that order. */
  readonly begun: string[]
  /** Makes a call that runs until `finish`. The result says how it ended. */
  call (name: string, options?: LimitCall): Promise<string>
  /** Finishes the work that began first of those that run. */
  finish (): Promise<void>
}

function count (options: Partial<LimitOptions> = {}): Counted {
  const clock = createFakeClock(0)
  const limit = createLimit({ clock, atOnce: 1, waitingMax: 10, waitMs: 1_000, refusal: () => new Error('busy'), ...options })
  const begun: string[] = []
  const running: (() => void)[] = []
  return {
    clock, limit, begun,
    call: (name, callOptions) => limit.run(async () => {
      begun.push(name)
      await new Promise<void>(resolve => running.push(resolve))
      return `${name} is done`
    }, callOptions).catch((error: unknown) => (error as Error).message),
    async finish () {
      running.shift()?.()
      await turn()
    }
  }
}

test('as many calls as allowed run at once, and the others follow in the order in which they came', async () => {
  const { begun, call, finish, limit } = count({ atOnce: 2 })
  const calls = ['a', 'b', 'c', 'd'].map(name => call(name))
  assert.deepEqual(begun, ['a', 'b'])
  await finish()
  assert.deepEqual(begun, ['a', 'b', 'c'])
  await finish()
  await finish()
  await finish()
  assert.deepEqual(await Promise.all(calls), ['a is done', 'b is done', 'c is done', 'd is done'])
  assert.equal(limit.isIdle, true)
})

test('work that throws, at once or later, passes its place on', async () => {
  const { limit, call, finish } = count()
  const thrown = limit.run(() => { throw new Error('at once') })
  const rejected = limit.run(() => Promise.reject(new Error('later')))
  const next = call('next')
  await assert.rejects(thrown, /at once/)
  await assert.rejects(rejected, /later/)
  await turn()
  await finish()
  assert.equal(await next, 'next is done')
  assert.equal(limit.isIdle, true)
})

test('a call is refused at once when its line is full, and another line still takes calls', async () => {
  const { begun, call, finish } = count({ waitingMax: 1 })
  const calls = [call('a'), call('b'), call('c'), call('d', { line: 'other' })]
  assert.equal(await calls[2], 'busy')
  for (let i = 0; i < 3; i++) await finish()
  assert.deepEqual(begun, ['a', 'b', 'd'])
  assert.equal(await calls[3], 'd is done')
})

test('a call that waits too long is refused, and neither runs later nor takes up its line', async () => {
  const { begun, call, clock, finish } = count({ waitingMax: 1 })
  const first = call('first')
  const late = call('late')
  await clock.advance(999)
  assert.equal(await Promise.race([late, turn('it waits')]), 'it waits')
  await clock.advance(1)
  assert.equal(await late, 'busy')
  const next = call('next')
  await finish()
  await finish()
  assert.deepEqual(await Promise.all([first, next]), ['first is done', 'next is done'])
  assert.deepEqual(begun, ['first', 'next'])
})

test('lines take turns, so that one with many calls does not hold up another', async () => {
  const { begun, call, finish } = count()
  const calls = [...Array.from({ length: 5 }, () => call('flood', { line: 'flood' })), call('other', { line: 'other' }), call('third', { line: 'third' })]
  for (let index = 0; index < calls.length; index++) await finish()
  await Promise.all(calls)
  assert.deepEqual(begun, ['flood', 'flood', 'other', 'third', 'flood', 'flood', 'flood'])
})

test('the calls of the preferred line come before those of all others', async () => {
  const { begun, call, finish } = count({ first: 'known' })
  const calls = [call('a', { line: 'unknown' }), call('b', { line: 'unknown' }), call('c', { line: 'known' }), call('d', { line: 'known' })]
  for (let index = 0; index < calls.length; index++) await finish()
  await Promise.all(calls)
  assert.deepEqual(begun, ['a', 'c', 'd', 'b'])
})

test('a signal ends the wait with its reason, and leaves the work of a call alone', async () => {
  const { begun, call, finish, limit } = count()
  const leaving = new AbortController()
  const { signal } = leaving
  const calls = [call('first', { signal }), call('second', { signal }), call('third')]
  leaving.abort(new Error('the client has gone'))
  assert.equal(await calls[1], 'the client has gone')
  assert.equal(await call('fourth', { signal }), 'the client has gone')
  await finish()
  await finish()
  assert.deepEqual(await Promise.all([calls[0], calls[2]]), ['first is done', 'third is done'])
  assert.deepEqual(begun, ['first', 'third'])
  assert.equal(limit.isIdle, true)
})

test('a wait that is over leaves no sleeper on the clock and no listener on the signal', async () => {
  const { call, clock, finish } = count()
  const { signal } = new AbortController()
  const calls = [call('a'), call('b', { signal })]
  assert.equal(clock.sleepers, 1)
  await finish()
  assert.equal(clock.sleepers, 0)
  await finish()
  await Promise.all(calls)
  assert.equal(getEventListeners(signal, 'abort').length, 0)
})
