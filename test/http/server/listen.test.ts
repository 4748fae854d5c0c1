// Where the host listens, and what it says when it cannot.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createHttp } from '../../../core/http/index.ts'
import { clock, createMemoryLog, settings, startHttp } from '../fixture.ts'

const create = () => createHttp({
  log: createMemoryLog().log, clock, authenticate: () => undefined, permissionsIn: () => new Set(), noteRefused: () => undefined, settings
})

test('it says where it listens', async t => {
  const { listening } = await startHttp(t, [])
  assert.equal(listening.url, `http://127.0.0.1:${listening.address.port}`)
  const six = await create().listen({ host: '::1', port: 0 })
  t.after(() => six.close())
  assert.equal(six.url, `http://[::1]:${six.address.port}`)
  assert.equal((await fetch(`${six.url}/healthz`)).status, 200)
})

test('a port that is taken, an address that is not there and a bad port are refused by name', async t => {
  const { listening } = await startHttp(t, [])
  const { port } = listening.address
  await assert.rejects(create().listen({ host: '127.0.0.1', port }), {
    code: 'BULKHEAD_CANNOT_LISTEN', message: `Cannot listen on 127.0.0.1:${port} (PLATFORM_LISTEN): another process listens there; stop it, or name another port.`
  })
  await assert.rejects(create().listen({ host: '203.0.113.1', port: 0 }), /PLATFORM_LISTEN\): this machine has no such address/)
  await assert.rejects(create().listen({ host: '127.0.0.1', port: 65_536 }), /PLATFORM_LISTEN\): there is no such port/)
})

test('closing ends every connection at once, and may be asked for twice', async t => {
  const { listening, url } = await startHttp(t, [])
  assert.equal((await fetch(`${url}/healthz`)).status, 200)
  await Promise.all([listening.close(), listening.close()])
  await assert.rejects(fetch(`${url}/healthz`))
})
