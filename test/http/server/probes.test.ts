// The probes: alive from the first moment, ready when told, and a refusal that says why.

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { openProbes, type Probes } from '../../../core/http/server/probes.ts'
import { createLog } from '../../support/part.ts'

interface Opened {
  probes: Probes
  ask: (path: string, method?: string) => Promise<[status: number, body: string]>
  close: () => Promise<void>
}

async function open (t: TestContext): Promise<Opened> {
  const probes = await openProbes({ port: 0, log: createLog() })
  let closing: Promise<void> | undefined
  const close = (): Promise<void> => (closing ??= probes.close())
  t.after(close)
  const ask = async (path: string, method = 'GET'): Promise<[number, string]> => {
    const answer = await fetch(`http://127.0.0.1:${probes.port}${path}`, { method, signal: AbortSignal.timeout(5_000) })
    return [answer.status, await answer.text()]
  }
  return { probes, ask, close }
}

test('before ready it is alive and says that it starts', async (t) => {
  const { ask } = await open(t)
  assert.deepEqual(await ask('/live'), [200, 'SERVER_IS_NOT_SHUTTING_DOWN'])
  assert.deepEqual(await ask('/ready'), [500, 'SERVER_IS_NOT_READY\nstarting\n'])
  assert.deepEqual(await ask('/health'), [500, 'SERVER_IS_NOT_READY\nstarting\n'])
})

test('readiness says what is waited for, whatever the query and the method', async (t) => {
  const { probes, ask } = await open(t)
  let waitingFor = 'postgres: connection refused'
  probes.notReady(() => `waiting for ${waitingFor}`)
  assert.deepEqual(await ask('/ready?verbose'), [500, 'SERVER_IS_NOT_READY\nwaiting for postgres: connection refused\n'])
  waitingFor = 'valkey'
  assert.deepEqual(await ask('/ready'), [500, 'SERVER_IS_NOT_READY\nwaiting for valkey\n'])
  assert.deepEqual(await ask('/ready', 'HEAD'), [500, ''])
})

test('readiness follows what the kernel says, any number of times, and liveness stays green', async (t) => {
  const { probes, ask } = await open(t)
  for (const round of [1, 2]) {
    probes.ready()
    assert.deepEqual(await ask('/ready'), [200, 'SERVER_IS_READY'])
    assert.deepEqual(await ask('/health'), [200, 'SERVER_IS_READY'])
    probes.notReady(() => `draining ${round}`)
    assert.deepEqual(await ask('/ready'), [500, `SERVER_IS_NOT_READY\ndraining ${round}\n`])
    assert.equal((await ask('/live'))[0], 200)
  }
})

test('other paths are not found', async (t) => {
  const { ask } = await open(t)
  for (const path of ['/', '/readyz', '/READY', '/live/x']) assert.equal((await ask(path))[0], 404, path)
})

test('a port that is taken is told by the setting\'s name', async (t) => {
  const { probes } = await open(t)
  await assert.rejects(openProbes({ port: probes.port, log: createLog() }), {
    code: 'BULKHEAD_PROBES_NOT_OPENED',
    message: `The probes did not get port ${probes.port}: another process listens there. Set LIGHTSHIP_PORT to a free one.`
  })
})

test('closing frees the port, ends open connections and leaves no signal handler', async (t) => {
  const before = process.listenerCount('SIGTERM')
  const { probes, ask, close } = await open(t)
  assert.equal(process.listenerCount('SIGTERM'), before)
  await ask('/live')
  await close()
  await assert.rejects(ask('/live'))
  const again = await openProbes({ port: probes.port, log: createLog() })
  await again.close()
})
