// How far this machine's clock is from the database's, with clocks that the test holds.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { watchOffset } from '../../../core/tasks/schedule/database-clock.ts'
import { createFakeClock } from '../../support/fake-clock.ts'
import { createLog } from '../../support/part.ts'

test('the database\'s time counts, and a machine over 5 s off is logged once, and when it agrees', async () => {
  const clock = createFakeClock()
  const entries: { message?: string, offsetMs?: number }[] = []
  let aheadMs = 4_900
  let isAway = false
  const ask = async (): Promise<number> => {
    if (isAway) throw new Error('the database is away')
    return clock.now() - aheadMs
  }
  const offset = await watchOffset({ ask, clock, log: createLog(entries) })
  assert.equal(offset.now(), clock.now() - 4_900)
  assert.equal(entries.length, 0, 'tolerated')

  aheadMs = 7_300
  await clock.advance(30_000)
  assert.equal(offset.now(), clock.now() - 7_300)
  assert.deepEqual([entries.length, entries[0]?.offsetMs], [1, 7_300])
  assert.match(entries[0]?.message ?? '', /7\.3 s ahead of the database's.*set the clock/)
  await clock.advance(60_000)
  assert.equal(entries.length, 1, 'said once')

  isAway = true
  await clock.advance(30_000)
  assert.equal(offset.now(), clock.now() - 7_300, 'what was known last')
  isAway = false
  aheadMs = -6_000
  await clock.advance(30_000)
  aheadMs = 0
  await clock.advance(30_000)
  assert.match(entries.at(-1)?.message ?? '', /agrees with the database's again/)
  assert.equal(offset.now(), clock.now())
  await offset.close()
  assert.equal(clock.sleepers, 0)
})

test('how long the question took is no difference', async () => {
  const clock = createFakeClock()
  const ask = async (): Promise<number> => {
    await clock.sleep(4_000)
    const there = clock.now()
    await clock.sleep(4_000)
    return there
  }
  const watching = watchOffset({ ask, clock, log: createLog() })
  await clock.advance(8_000)
  const offset = await watching
  assert.equal(offset.now(), clock.now())
  await offset.close()
})
