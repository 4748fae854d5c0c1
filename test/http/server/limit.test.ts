// Nothing a client or a handler does holds a connection for ever.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from '../../../core/contract/index.ts'
import { anyone, route, sendRaw, startHttp, until } from '../fixture.ts'

test('a handler that never answers is answered for with 503, and its signal aborts', async t => {
  let reason: unknown
  const host = await startHttp(t, [
    route('get', '/', anyone, ctx => new Promise(() => ctx.signal.addEventListener('abort', () => { reason = ctx.signal.reason })))
  ], { settings: { requestTimeoutMs: 100 } })
  const answer = await host.fetch('/api/notes')
  assert.equal(answer.status, 503)
  assert.match((await answer.json() as { detail: string }).detail, /longer than 100 ms/)
  assert.match(String(reason), /longer than 100 ms/)
  assert.equal(host.lines.find(({ level }) => level === 'warn')?.route, 'GET /api/notes')
})

test('what a handler gives after its time is dropped', async t => {
  let given = 0
  const late = async <T>(value: T): Promise<T> => { await sleep(250); given++; return value }
  const host = await startHttp(t, [
    route('get', '/value', anyone, () => late({ a: 1 })),
    route('get', '/body', anyone, async ctx => { ctx.body = await late('text') }),
    route('get', '/error', anyone, async () => { await late(1); throw new Error('late') })
  ], { settings: { requestTimeoutMs: 100 } })
  const answers = await Promise.all(['value', 'body', 'error'].map(path => host.fetch(`/api/notes/${path}`)))
  assert.deepEqual(answers.map(({ status }) => status), [503, 503, 503])
  await until(() => given === 3)
  await sleep(20)
  assert.deepEqual(host.lines.filter(({ level }) => level === 'error'), [])
})

test('an answer that has begun may take as long as it needs', async t => {
  const host = await startHttp(t, [
    route('get', '/', anyone, () => Readable.from((async function* () { for (let at = 0; at < 6; at++) { yield String(at); await sleep(50) } })()))
  ], { settings: { requestTimeoutMs: 100 } })
  assert.equal(await (await host.fetch('/api/notes')).text(), '012345')
})

test('a socket that sends its head too slowly is closed', async t => {
  const host = await startHttp(t, [], { settings: { headersTimeoutMs: 200 } })
  assert.match(await sendRaw(host, 'GET /healthz HTTP/1.1\r\nHost: a\r\n'), /^HTTP\/1\.1 408 /)
  assert.match(await sendRaw(host, ''), /^HTTP\/1\.1 408 /)
})

test('a body that never ends is given up', async t => {
  const host = await startHttp(t, [route('post', '/', { ...anyone, body: z.object({}) }, () => ({}))], { settings: { requestTimeoutMs: 300, headersTimeoutMs: 200 } })
  const answer = await sendRaw(host, 'POST /api/notes HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"a":')
  assert.match(answer, /^HTTP\/1\.1 (?:408|503) /)
  await until(() => host.lines.some(({ message }) => message === 'answered'))
  assert.deepEqual(host.lines.filter(({ level }) => level === 'error'), [])
})

test('a request that Node cannot parse is refused with a request id, the headers and a reason', async t => {
  const host = await startHttp(t, [], { settings: { headersTimeoutMs: 200 } })
  const unreadable: Record<string, [status: number, reason: RegExp]> = {
    [`GET /healthz HTTP/1.1\r\nHost: a\r\nX-Big: ${'a'.repeat(20_000)}\r\n\r\n`]: [431, /larger than 16384 bytes/],
    'GET /healthz HTTP/1.1\r\nHost: a\r\n': [408, /did not arrive in time/],
    'hello\r\n\r\n': [400, /not an HTTP\/1\.1 request: /],
    'GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n': [400, /not an HTTP\/1\.1 request/],
    'GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n': [400, /not an HTTP\/1\.1 request/]
  }
  for (const [bytes, [status, reason]] of Object.entries(unreadable)) {
    const answer = await sendRaw(host, bytes)
    assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `))
    assert.match(answer, /^x-request-id: [\w-]+\r$/im)
    assert.match(answer, /^x-content-type-options: nosniff\r$/im)
    assert.match(answer, /^connection: close\r$/im)
    assert.match(answer, /^content-type: application\/problem\+json\r$/im)
    assert.match(answer, reason)
  }
  assert.deepEqual(host.lines.filter(({ level }) => level === 'error'), [])
  assert.equal((await host.fetch('/healthz')).status, 200)
})

test('unreadable bytes behind a running request end the connection with one answer that says why', async t => {
  const host = await startHttp(t, [route('get', '/', anyone, () => sleep(300, []))])
  const answer = await sendRaw(host, 'GET /api/notes HTTP/1.1\r\nHost: a\r\n\r\nhello\r\n\r\n')
  assert.match(answer, /^HTTP\/1\.1 400 /)
  assert.equal(answer.match(/HTTP\/1\.1 \d/g)?.length, 1)
})

test('connections over the limit are closed', async t => {
  const host = await startHttp(t, [route('get', '/', anyone, () => sleep(200, []))], { settings: { maxConnections: 1 } })
  const first = host.fetch('/api/notes')
  await sleep(50)
  assert.equal(await sendRaw(host, 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n').catch(() => ''), '')
  assert.equal((await first).status, 200)
})
