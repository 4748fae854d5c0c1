// An idle connection gives way to a new one, the longest idle first; one with a request under way never does.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { planConnections } from '../../../core/boot/open-files.ts'
import { anyone, createMemoryLog, route, startHttp, until } from '../fixture.ts'
import type { Running } from '../fixture.ts'

async function open (t: TestContext, { listening: { address } }: Running, text = ''): Promise<Socket> {
  const socket = connect(address.port, address.host).on('error', () => { /* Told by its end. */ })
  t.after(() => socket.destroy())
  await once(socket, 'connect')
  socket.resume()
  if (text !== '') socket.write(text)
  return socket
}

const request = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`
const answerOf = async (socket: Socket): Promise<string> => String(((await once(socket, 'data')) as Buffer[])[0])

test('the connection that is idle longest is closed first, also one with half a head', async t => {
  const host = await startHttp(t, [], { settings: { maxConnections: 3 } })
  const served = await open(t, host)
  const silent = await open(t, host)
  const slow = await open(t, host, 'GET /healthz HTTP/1.1\r\nHost: a\r\nX-')
  served.write(request('/healthz'))
  assert.match(await answerOf(served), /^HTTP\/1\.1 200/)
  const closed: string[] = []
  for (const [name, socket] of Object.entries({ served, silent, slow })) socket.on('close', () => closed.push(name))
  for (const expected of [['silent'], ['silent', 'slow'], ['silent', 'slow', 'served']]) {
    const next = await open(t, host, request('/healthz'))
    assert.match(await answerOf(next), /^HTTP\/1\.1 200/)
    await until(() => closed.length === expected.length)
    assert.deepEqual(closed, expected)
  }
})

test('a busy connection stays, a new one beside only busy ones is closed, and the log counts it', async t => {
  let release = (): void => undefined
  const waiting = new Promise<object>(resolve => { release = () => resolve({}) })
  let begun = 0
  const host = await startHttp(t, [route('get', '/', anyone, () => { begun++; return waiting })], { settings: { maxConnections: 2 } })
  const busy = [await open(t, host, request('/api/notes')), await open(t, host, request('/api/notes') + request('/api/notes'))]
  await until(() => begun >= 2)
  for (let count = 0; count < 20; count++) {
    const late = await open(t, host, request('/healthz'))
    if (!late.destroyed) await once(late, 'close')
  }
  const answers = busy.map(answerOf)
  release()
  for (const answer of await Promise.all(answers)) assert.match(answer, /^HTTP\/1\.1 200/)
  const next = await open(t, host, request('/healthz'))
  assert.match(await answerOf(next), /^HTTP\/1\.1 200/)
  await host.listening.close()
  const told = host.lines.filter(line => line['port'] === 'the API')
  assert.equal(told.reduce((sum, line) => sum + Number(line['refused']), 0), 20)
  assert.equal(told.reduce((sum, line) => sum + Number(line['closedIdle']), 0), 1)
})

test('connections fit below the limit of open files less a reserve, and a low limit is told', () => {
  const plan = (limit: number | undefined): [number, number] => {
    const { log, lines } = createMemoryLog()
    return [planConnections(limit, 18, log), lines.length]
  }
  assert.deepEqual([plan(undefined), plan(1_048_576), plan(20_000)], [[10_000, 0], [10_000, 0], [10_000, 0]])
  assert.deepEqual([plan(4_096), plan(1_024), plan(220), plan(100)], [[3_950, 0], [878, 1], [74, 1], [16, 1]])
})
