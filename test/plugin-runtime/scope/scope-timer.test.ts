// Timers, sleeps and listeners of a scope: its plugin's code, counted, and gone with it.

import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import { currentOwner, type Owner } from '../../../core/plugin-runtime/index.ts'
import { Fence } from '../../../core/plugin-runtime/ownership/fence.ts'
import { createClock, createListen, createTimers } from '../../../core/plugin-runtime/scope/scope-timer.ts'
import { createFakeClock, type FakeClock } from '../../support/fake-clock.ts'
import { createOwner } from '../fixture.ts'

interface Made {
  time: FakeClock
  fence: Fence
  owner: Owner
  clock: ReturnType<typeof createClock>
  timers: ReturnType<typeof createTimers>
  listen: ReturnType<typeof createListen>
  faults: unknown[]
  end (): Promise<void>
}

function make (): Made {
  const time = createFakeClock(0)
  const fence = new Fence('notes')
  const owner = createOwner('notes')
  const faults: unknown[] = []
  const parts = { clock: time, fence, owner, onFault: (thrown: unknown) => { faults.push(thrown) } }
  return {
    time, fence, owner, faults, clock: createClock(parts), timers: createTimers(parts), listen: createListen(parts),
    end: async () => {
      fence.end(new Error('it stopped'))
      await owner.account.close()
    }
  }
}
const ended = { code: 'BULKHEAD_SCOPE_ENDED' }

test('after calls once, every again and again, each pause beginning when the work is done', async () => {
  const { time, timers, owner } = make()
  const calls: string[] = []
  timers.after(10, () => { calls.push(`after ${time.now()} ${currentOwner()?.plugin ?? ''}`) })
  const cancel = timers.every(20, async () => { calls.push(`every ${time.now()}`); await time.sleep(5) })
  timers.after(30, () => { calls.push('never') })()
  assert.equal(owner.account.counts().timers, 2)
  await time.advance(80)
  assert.deepEqual(calls, ['after 10 notes', 'every 20', 'every 45', 'every 70'])
  cancel()
  await time.advance(100)
  assert.equal(calls.length, 4)
  assert.deepEqual([owner.account.counts().timers, time.sleepers], [0, 0])
})

test('what the work of a timer throws is the plugin\'s fault, and the timer goes on', async () => {
  const { time, timers, faults } = make()
  timers.every(10, () => { throw new Error('out of ink') })
  // eslint-disable-next-line @typescript-eslint/only-throw-error -- plugins do
  timers.after(15, async () => { throw null })
  await time.advance(25)
  assert.deepEqual(faults.map(fault => (fault as Error | null)?.message), ['out of ink', undefined, 'out of ink'])
})

test('a plugin\'s end clears its timers, wakes its sleeps with an error, and refuses new ones', async () => {
  const { time, timers, clock, end, owner } = make()
  let calls = 0
  timers.every(10, () => { calls += 1 })
  timers.after(10, () => { calls += 1 })
  const woken = assert.rejects(clock.sleep(1_000), ended)
  const aborted = new AbortController()
  const own = assert.rejects(clock.sleep(1_000, aborted.signal), { message: 'enough' })
  aborted.abort(new Error('enough'))
  await own
  assert.equal(owner.account.counts().timers, 3)
  await end()
  await woken
  await time.advance(5_000)
  assert.deepEqual([calls, time.sleepers, owner.account.names()], [0, 0, []])
  assert.throws(() => timers.after(1, () => undefined), ended)
  await assert.rejects(clock.sleep(1), ended)
})

test('a listener hears until it leaves or its plugin ends', async () => {
  const { listen, end, owner } = make()
  const emitter = new EventEmitter()
  const heard: unknown[] = []
  const leave = listen(emitter, 'news', (...args: unknown[]) => { heard.push(currentOwner()?.plugin, ...args) })
  listen(emitter, 'news', () => undefined)
  emitter.emit('news', 'one', 2)
  assert.deepEqual(heard, ['notes', 'one', 2])
  leave()
  assert.deepEqual([emitter.listenerCount('news'), owner.account.counts().listeners], [1, 1])
  await end()
  assert.deepEqual([emitter.listenerCount('news'), owner.account.counts().listeners, heard.length], [0, 0, 3])
  assert.throws(() => listen(emitter, 'news', () => undefined), ended)
})
