// The end of a wait for work that ignores its signal.

import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import { untilAborted } from '../../core/concurrency/until-aborted.ts'

test('it settles as the work does, and leaves no listener on the signal', async () => {
  const { signal } = new AbortController()
  assert.equal(await untilAborted(signal, Promise.resolve(1)), 1)
  await assert.rejects(untilAborted(signal, Promise.reject(new Error('refused'))), /refused/)
  assert.equal(getEventListeners(signal, 'abort').length, 0)
})

test('it rejects with the reason of the signal, and work that fails later disturbs no caller', async () => {
  const ending = new AbortController()
  const work = Promise.withResolvers<undefined>()
  const waiting = untilAborted(ending.signal, work.promise)
  ending.abort(new Error('the host is stopping'))
  await assert.rejects(waiting, /the host is stopping/)
  work.reject(new Error('too late'))
  await new Promise(setImmediate)
})

test('it does not wait when the signal has aborted already', async () => {
  const forever = new Promise<never>(() => { /* It never settles. */ })
  await assert.rejects(untilAborted(AbortSignal.abort(new Error('over')), forever), /over/)
})
