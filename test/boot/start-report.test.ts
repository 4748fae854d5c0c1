// What an operator reads while a start takes long.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { logPendingUnits } from '../../core/boot/start-report.ts'
import { createHouse } from '../kernel/fixture.ts'
import { createLog } from '../support/part.ts'

test('every five seconds a start says who is waited for, why, and by whom, until it is over', async () => {
  const { kernel, clock, unit, stop } = createHouse()
  const lines: { message?: string }[] = []
  const ready = new AbortController()
  const told = logPendingUnits({ kernel, clock, log: createLog(lines) }, ready.signal)
  let tries = 0
  const postgres = unit('postgres', { startBudgetMs: 60_000, retry: { firstMs: 1_000, maxMs: 1_000 }, start: () => { if (++tries < 13) throw new Error('no route to host') } })
  const started = kernel.start([
    postgres, unit('migrations', { needs: ['postgres'] }), ...Array.from({ length: 6 }, (_, at) => unit(`plugin-${at}`, { needs: ['postgres'] }))
  ])
  await clock.advance(11_000)
  assert.deepEqual(lines.map(({ message }) => message), [6, 11].map(attempt =>
    `still waiting for postgres (attempt ${attempt - 1} (last error: no route to host); migrations, plugin-0, plugin-1, plugin-2, plugin-3 and 2 more wait for it)`))
  await clock.advance(5_000)
  await started
  ready.abort()
  await clock.advance(20_000)
  await told
  assert.equal(lines.length, 2)
  await stop()
})
