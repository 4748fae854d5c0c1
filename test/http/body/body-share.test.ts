// Bodies that arrive at the same time: the memory that they take together is bounded, and slow ones keep no quick one out.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { z } from '../../../core/contract/index.ts'
import { createBodyShares } from '../../../core/http/body/body-share.ts'
import { until } from '../../support/until.ts'
import { anyone, asReader, route, startHttp } from '../fixture.ts'
import type { Running } from '../fixture.ts'

const body = z.unknown()
const routes = [
  route('post', '/', { ...anyone, body }, () => ({ read: true })),
  route('post', '/own', { signedIn: 'a test', body }, () => ({ read: true }))
]
const bodyBytes = 65_000
const settings = { bodyLimitBytes: 65_536, requestTimeoutMs: 120_000, headersTimeoutMs: 120_000 }

interface Slow { readonly socket: Socket, answer: string }

/** Sends the head and all of a body but its last bytes. */
async function sendSlowly (t: TestContext, { listening: { address } }: Running, path: string, headers = '', length = bodyBytes): Promise<Slow> {
  const socket = connect(address.port, address.host)
  t.after(() => socket.destroy())
  const slow: Slow = { socket, answer: '' }
  socket.on('data', chunk => { slow.answer += chunk.toString() }).on('error', () => undefined)
  await once(socket, 'connect')
  await new Promise(resolve => socket.write(
    `POST /api/notes${path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n${headers}Content-Length: ${length}\r\n\r\n"${'a'.repeat(length - 5_000)}`, resolve
  ))
  return slow
}

const finish = async ({ socket }: Slow): Promise<void> => {
  socket.write(`${'a'.repeat(4_998)}"`)
  await once(socket, 'data')
}

test('bodies that unknown callers send slowly take 16 MB together, and a quick one is read', { timeout: 30_000 }, async t => {
  const host = await startHttp(t, routes, { settings })
  const known = await sendSlowly(t, host, '/own', `Authorization: ${asReader.authorization}\r\n`)
  const slow: Slow[] = []
  for (let at = 0; at < 320; at++) slow.push(await sendSlowly(t, host, ''))
  const quick = await host.fetch('/api/notes', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '"quick"' })
  assert.equal(quick.status, 200)

  const refused = slow.filter(({ answer }) => answer !== '')
  assert.ok(refused.length >= 30 && refused.length <= 70, `${refused.length} were given up`)
  assert.deepEqual(refused, slow.slice(0, refused.length), 'those that came first')
  for (const { answer } of refused) assert.match(answer, /^HTTP\/1\.1 503 [^]*Retry-After: 1\r\n/i)

  const [last] = slow.slice(-1)
  assert.ok(last)
  await finish(last)
  assert.match(last.answer, /^HTTP\/1\.1 200 /)
  assert.equal(known.answer, '', 'the body of a known caller counts elsewhere')
  await finish(known)
  assert.match(known.answer, /^HTTP\/1\.1 200 /)
})

test('bodies that known callers send slowly take 128 MB together, and a quick one is read', { timeout: 60_000 }, async t => {
  const host = await startHttp(t, routes, { settings: { ...settings, bodyLimitBytes: 20_000_000 } })
  const authorization = `Authorization: ${asReader.authorization}\r\n`
  const slow: Slow[] = []
  for (let at = 0; at < 10; at++) slow.push(await sendSlowly(t, host, '/own', authorization, 16_000_000))
  const quick = await host.fetch('/api/notes/own', { method: 'POST', headers: { ...asReader, 'content-type': 'application/json' }, body: '"quick"' })
  assert.equal(quick.status, 200)
  await until(() => slow.some(({ answer }) => answer !== ''))
  const refused = slow.filter(({ answer }) => answer !== '')
  assert.ok(refused.length >= 2 && refused.length <= 6, `${refused.length} were given up`)
  assert.deepEqual(refused, slow.slice(0, refused.length), 'those that came first')
  for (const { answer } of refused) assert.match(answer, /^HTTP\/1\.1 503 /)
})

test('a body that is complete or refused counts no more', async t => {
  const host = await startHttp(t, routes, { settings })
  const slow = await sendSlowly(t, host, '')
  const send = (text: string): Promise<Response> => host.fetch('/api/notes', {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: new Blob([text]).stream(), duplex: 'half'
  })
  for (let at = 0; at < 400; at++) assert.equal((await send(at % 2 === 0 ? `"${'a'.repeat(60_000)}"` : 'a'.repeat(70_000))).status, at % 2 === 0 ? 200 : 413)
  assert.equal(slow.answer, '')
})

test('a single body is given up for none, and the longest under way for the others', () => {
  const shares = createBodyShares(100)
  const gone: string[] = []
  const open = (name: string) => shares.open(() => gone.push(name))
  const first = open('first')
  first.add(150)
  assert.deepEqual(gone, [], 'its route bounds it')
  const second = open('second')
  second.add(10)
  assert.deepEqual(gone, ['first'])
  first.add(1_000)
  first.end()
  const third = open('third')
  third.add(90)
  assert.deepEqual(gone, ['first'], 'what was given up counts no more')
  second.end()
  const fourth = open('fourth')
  fourth.add(10)
  assert.deepEqual(gone, ['first'])
  third.add(1)
  assert.deepEqual(gone, ['first', 'third'], 'the body that grows may be the one')
})
