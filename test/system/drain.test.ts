// Replicas leave one after the other while requests go on: none is lost.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { drainUnderLoad } from '../bench/drain.ts'

const isLong = process.env.BULKHEAD_LONG === '1'

test('SIGTERM under load, behind a balancer that notices a second late, loses no request and exits with 0', async (t) => {
  const { load, exits } = await drainUnderLoad(t, { rounds: isLong ? 20 : 2, requestsPerSecond: 100 })
  t.diagnostic(`${load.sent} requests, ${exits.length} exits`)
  assert.ok(load.sent > 100, `${load.sent} requests were sent`)
  assert.deepEqual(load.failed, {})
  assert.deepEqual(exits.map(({ code }) => code), exits.map(() => 0))
})
