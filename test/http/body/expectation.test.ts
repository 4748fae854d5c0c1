// A client that waits for 100 before it sends its body gets it when the body is read, and no sooner; other expectations are 417.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { z } from '../../../core/contract/index.ts'
import { anyone, asReader, route, sendRaw, startHttp } from '../fixture.ts'
import type { Running } from '../fixture.ts'

const routes = [
  route('post', '/', { permission: 'note:read', body: z.object({ a: z.number() }) }, ctx => ctx.input.body),
  route('post', '/write', { permission: 'note:write', body: z.object({ a: z.number() }) }, ctx => ctx.input.body),
  route('post', '/ignored', anyone, () => ({ done: true })),
  route('post', '/stream', anyone, async ctx => ({ bytes: Buffer.concat(await ctx.req.toArray() as Buffer[]).length })),
  route('post', '/refusing', anyone, async ctx => { if (ctx.get('x-ok') === '') ctx.throw(409, 'not now'); return String(await ctx.req.toArray() as unknown) })
]
const sent = '{"a":1}'
const head = (path: string, expect: string, more = '', version = '1.1'): string =>
  `POST /api/notes${path} HTTP/${version}\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${sent.length}\r\nExpect: ${expect}\r\n${more}\r\n`
const reader = `Authorization: ${asReader.authorization}\r\n`

/** Sends the head, and the body once 100 has come. Gives everything that came. */
async function converse ({ listening }: Running, text: string): Promise<string> {
  const socket = connect(listening.address.port, listening.address.host)
  socket.write(text)
  let came = ''
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    if (came === '' && chunk.startsWith('HTTP/1.1 100 ')) socket.write(sent)
    came += chunk
  })
  await once(socket, 'close')
  return came
}

test('100 is sent once the caller may send the body, and the body is then read', async t => {
  const host = await startHttp(t, routes)
  for (const expect of ['100-continue', '100-Continue']) {
    assert.match(await converse(host, head('', expect, `${reader}Connection: close\r\n`)), /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 [^]*\{"a":1\}$/)
  }
  assert.match(await converse(host, head('/stream', '100-continue', 'Connection: close\r\n')), /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 [^]*\{"bytes":7\}$/)
})

test('who is refused is not asked for the body, and the connection closes', async t => {
  const host = await startHttp(t, routes)
  const cases: [string, string, number][] = [
    ['', '', 401], ['', 'Authorization: Bearer unknown\r\n', 401], ['/write', reader, 403], ['/nowhere/at/all', reader, 404], ['/%', reader, 400],
    ['', `${reader}Content-Encoding: zstd\r\n`, 415], ['/refusing', '', 409], ['/ignored', '', 200]
  ]
  for (const [path, more, status] of cases) {
    const came = await converse(host, head(path, '100-continue', more))
    assert.match(came, new RegExp(`^HTTP/1\\.1 ${status} `), path)
    assert.match(came, /\r\nConnection: close\r\n/, path)
    assert.equal(came.match(/HTTP\/1\.1/g)?.length, 1, path)
  }
})

test('a body over its limit is refused before the client sends it', async t => {
  const host = await startHttp(t, routes)
  const came = await converse(host, head('', '100-continue', reader).replace(`Content-Length: ${sent.length}`, 'Content-Length: 99999999'))
  assert.match(came, /^HTTP\/1\.1 413 /)
  assert.match(came, /\r\nConnection: close\r\n/)
})

test('a client that sends its body without waiting is answered once', async t => {
  const host = await startHttp(t, routes)
  const came = await sendRaw(host, `${head('', '100-continue', `${reader}Connection: close\r\n`)}${sent}`)
  assert.match(came, /^(?:HTTP\/1\.1 100 Continue\r\n\r\n)?HTTP\/1\.1 200 [^]*\{"a":1\}$/)
  assert.match(await sendRaw(host, `${head('', '100-continue')}${sent}`), /^HTTP\/1\.1 401 /)
})

test('any other expectation is 417, a problem with a request id and the usual headers', async t => {
  const host = await startHttp(t, routes)
  for (const expect of ['something', '200-ok', '100-continue, more', 'x-100-continue-y', '']) {
    const came = await sendRaw(host, head('', expect, `${reader}X-Request-Id: request-0001\r\nConnection: close\r\n`))
    assert.match(came, /^HTTP\/1\.1 417 Expectation Failed\r\n/, expect)
    for (const header of [
      'X-Request-Id: request-0001\r\n', 'Content-Type: application/problem+json\r\n', 'Content-Security-Policy: default-src',
      'X-Content-Type-Options: nosniff\r\n', 'Cache-Control: no-store\r\n'
    ]) assert.ok(came.includes(`\r\n${header}`), `${header} for ${expect}`)
    assert.match(came, /"type":"urn:bulkhead:problem:expectation-failed"[^]*"requestId":"request-0001"/)
  }
})

test('a client of HTTP/1.0 can expect nothing, and gets no 100', async t => {
  const host = await startHttp(t, routes)
  assert.match(await sendRaw(host, `${head('', '100-continue', reader, '1.0')}${sent}`), /^HTTP\/1\.1 200 [^]*\{"a":1\}$/)
})
