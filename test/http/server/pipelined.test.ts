// Requests that a client sends before the answer to its first: bounded for each connection.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { anyone, route, sendRaw, startHttp } from '../fixture.ts'

const ask = 'GET /api/notes HTTP/1.1\r\nHost: a\r\n\r\n'

test('of one connection 64 requests are under way, and the next one ends it with 429', { timeout: 20_000 }, async t => {
  let begun = 0
  const { promise: opened, resolve: open } = Promise.withResolvers<undefined>()
  const host = await startHttp(t, [route('get', '/', anyone, async () => {
    if (++begun === 64) setImmediate(open, undefined)
    await opened
    return {}
  })])
  const answer = await sendRaw(host, ask.repeat(500))
  const statuses = [...answer.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)
  assert.equal(begun, 64)
  assert.deepEqual(statuses, [...Array.from({ length: 64 }, () => '200'), '429'])
  assert.match(await sendRaw(host, ask, text => text.includes('{}')), /^HTTP\/1\.1 200 /, 'another connection is answered')
})
