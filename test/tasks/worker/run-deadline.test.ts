// When the time of a run is up.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createDeadlines } from '../../../core/tasks/worker/run-deadline.ts'
import { clock } from '../../support/part.ts'
import { until } from '../../support/until.ts'

test('each run is late in its own time; a run that is over is not, and after the end none is', async () => {
  const deadlines = createDeadlines(clock, 50)
  const late: number[] = []
  for (let round = 0; round < 3; round += 1) {
    const begunAt = performance.now()
    deadlines.begin(() => { late.push(performance.now() - begunAt) })
    deadlines.begin(() => { throw new Error('it is over') })()
    await until(() => late.length === round + 1)
    // At once, while the one before is just being told.
    await Promise.resolve()
  }
  assert.ok(late.every(ms => ms >= 49), `${late.join(', ')} ms`)
  deadlines.begin(() => { late.push(0) })
  deadlines.close()
  await sleep(100)
  assert.equal(late.length, 3)
})

test('one that begins in the turn in which the last one ends is watched, too', async () => {
  const deadlines = createDeadlines(clock, 20)
  let late = 0
  const again = (): void => {
    late += 1
    if (late < 5) queueMicrotask(() => queueMicrotask(() => { deadlines.begin(again) }))
  }
  deadlines.begin(again)
  await until(() => late === 5)
  deadlines.close()
})
