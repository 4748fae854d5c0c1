// Turns: so many at once of each key, in the order they came, and nobody waits for ever.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { registerBulkhead } from '../../../core/plugin-runtime/index.ts'
import { createFakeClock } from '../../support/fake-clock.ts'

registerBulkhead()
const { createTurns, waitMs } = await import('../../../plugins/projects/turn.ts')
const pause = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

test('a bounded number of calls per key runs at once, in order, and another key waits for none', async () => {
  const takeTurn = createTurns(createFakeClock(0), 2)
  const [begun, ends]: [number[], (() => void)[]] = [[], []]
  const all = Array.from({ length: 6 }, (_, index) => takeTurn('a', async () => {
    begun.push(index)
    await new Promise<void>(resolve => ends.push(resolve))
    if (index % 2 === 0) throw new Error(`${index} failed`)
    return index
  }).catch((error: unknown) => (error as Error).message))
  await pause()
  assert.deepEqual(begun, [0, 1])
  assert.equal(await takeTurn('b', async () => 'other'), 'other')
  for (let count = 3; count <= 6; count++) {
    ends.shift()?.()
    await pause()
    assert.equal(begun.length, count)
  }
  for (const end of ends) end()
  assert.deepEqual(await Promise.all(all), ['0 failed', 1, '2 failed', 3, '4 failed', 5])
  assert.deepEqual(begun, [0, 1, 2, 3, 4, 5])
})

test('a call that has waited too long is refused, and the next in time goes', async () => {
  const clock = createFakeClock(0)
  const takeTurn = createTurns(clock, 1)
  let end = (): void => undefined
  const first = takeTurn('a', () => new Promise<void>(resolve => { end = resolve }))
  const late = Promise.allSettled([takeTurn('a', async () => assert.fail()), takeTurn('a', async () => assert.fail())])
  await clock.advance(waitMs)
  const inTime = takeTurn('a', async () => 'gone')
  end()
  await first
  assert.deepEqual((await late).map(result => result.status === 'rejected' && (result.reason as { status: number }).status), [503, 503])
  assert.equal(await inTime, 'gone')
  assert.equal(await takeTurn('a', async () => 'free again'), 'free again')
})
