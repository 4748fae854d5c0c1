// The places in the pool of tasks: plugins have turns, so that one that sends thousands of jobs does not keep the others waiting.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPlaces } from '../../../core/tasks/queue/place.ts'

test('plugins take turns: one with many calls does not keep another behind them', async () => {
  const places = createPlaces(1, 10_000)
  const order: string[] = []
  const call = (plugin: string): Promise<void> => places.run(plugin, async () => { order.push(plugin); await new Promise(setImmediate) })
  await Promise.all([...Array.from({ length: 5 }, () => call('flood')), call('other'), call('third')])
  assert.deepEqual(order, ['flood', 'flood', 'other', 'third', 'flood', 'flood', 'flood'])
})

test('a call that finds no place in time is refused, and its place in the line is gone', async () => {
  const places = createPlaces(1, 20)
  const release = Promise.withResolvers<undefined>()
  const first = places.run('a', () => release.promise)
  await assert.rejects(places.run('b', async () => undefined), { code: 'BULKHEAD_SERVICE_UNAVAILABLE' })
  release.resolve(undefined)
  await first
  assert.equal(await places.run('c', async () => 'served'), 'served')
})
