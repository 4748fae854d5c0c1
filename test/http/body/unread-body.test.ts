// A client that goes on sending after its answer: a little is dropped and the connection goes on, more than that ends it.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { z } from '../../../core/contract/index.ts'
import { anyone, asReader, route, sendRaw, startHttp } from '../fixture.ts'
import type { Running } from '../fixture.ts'

const routes = [
  route('post', '/', { permission: 'note:read', body: z.object({}) }, () => ({})),
  route('post', '/ignored', anyone, () => ({ done: true })),
  route('post', '/text', anyone, () => 'done'),
  route('post', '/nothing', anyone, () => undefined),
  route('post', '/some', anyone, async ctx => { for await (const chunk of ctx.req.iterator({ destroyOnReturn: false })) return { first: (chunk as Buffer).length > 0 } }),
  route('post', '/after', anyone, async ctx => {
    let bytes = 0
    ctx.req.on('data', (chunk: Buffer) => { bytes += chunk.length }).on('end', () => { readAfter = bytes })
    return { reading: true }
  })
]
let readAfter = 0
const mb = 1024 * 1024
const head = (method: string, path: string, length: number | undefined, more = ''): string =>
  `${method} ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n${more}${length === undefined ? 'Transfer-Encoding: chunked' : `Content-Length: ${length}`}\r\n\r\n`

/** Sends for as long as the host takes it. Gives what came back and how much the host took. */
async function upload ({ listening }: Running, text: string, isChunked: boolean): Promise<{ came: string, taken: number }> {
  const socket = connect(listening.address.port, listening.address.host)
  let came = ''
  socket.setEncoding('utf8').on('data', (data: string) => { came += data }).on('error', () => undefined)
  socket.write(text)
  const block = Buffer.alloc(64 * 1024, 'a')
  const chunk = isChunked ? Buffer.concat([Buffer.from(`${block.length.toString(16)}\r\n`), block, Buffer.from('\r\n')]) : block
  const write = (to: Socket): void => { while (!to.destroyed && to.writable && to.write(chunk)); }
  socket.on('drain', () => write(socket))
  write(socket)
  await new Promise(resolve => socket.once('close', resolve))
  return { came, taken: socket.bytesWritten - socket.writableLength }
}

test('an endless upload is cut off after its answer, whether the host or the handler refused it', async t => {
  const host = await startHttp(t, routes)
  const cases: [string, string, RegExp][] = [
    ['POST', '/api/notes', /^HTTP\/1\.1 401 /], ['POST', '/nowhere', /^HTTP\/1\.1 404 /], ['PUT', '/api/notes', /^HTTP\/1\.1 405 /], ['GET', '/healthz', /^HTTP\/1\.1 200 /],
    ['POST', '/api/notes/ignored', /^HTTP\/1\.1 200 /], ['POST', '/api/notes/text', /^HTTP\/1\.1 200 /], ['POST', '/api/notes/nothing', /^HTTP\/1\.1 204 /]
  ]
  await Promise.all(cases.flatMap(([method, path, expected]) => [1e12, undefined].map(async length => {
    const { came, taken } = await upload(host, head(method, path, length), length === undefined)
    assert.match(came, expected, `${method} ${path} ${length}`)
    // Beside what was read and dropped: what the buffers of both ends hold.
    assert.ok(taken < 16 * mb, `${method} ${path} ${length}: ${taken} bytes were taken`)
  })))
})

test('where the length is known the answer says that the connection closes', async t => {
  const host = await startHttp(t, routes)
  const { came } = await upload(host, head('POST', '/api/notes', 1e12), false)
  assert.match(came, /\r\nConnection: close\r\n/)
})

test('the rest of a small body is dropped, and the connection goes on', async t => {
  const host = await startHttp(t, routes)
  const next = 'GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
  const rest = 'a'.repeat(500_000)
  for (const path of ['/api/notes', '/nowhere', '/api/notes/ignored', '/api/notes/some']) {
    assert.match(await sendRaw(host, `${head('POST', path, rest.length)}${rest}${next}`), /^HTTP\/1\.1 (?:200|401|404) [^]*HTTP\/1\.1 200 /, path)
    assert.match(await sendRaw(host, `${head('POST', path, undefined)}${rest.length.toString(16)}\r\n${rest}\r\n0\r\n\r\n${next}`), /^HTTP\/1\.1 (?:200|401|404) [^]*HTTP\/1\.1 200 /, path)
  }
})

test('a client that sends a long body before it looks finds its answer', async t => {
  const host = await startHttp(t, routes)
  for (const path of ['/api/notes', '/nowhere']) {
    const answer = await host.fetch(path, { method: 'POST', body: 'a'.repeat(20 * mb) })
    assert.match(String(answer.status), /401|404/)
    assert.ok((await answer.json() as { requestId: string }).requestId !== '')
    const asked = request(`${host.url}${path}`, { method: 'POST', headers: { connection: 'close' } }).on('error', () => undefined)
    asked.end('a'.repeat(2 * mb))
    const [{ statusCode }] = await once(asked, 'response') as [{ statusCode: number }]
    assert.match(String(statusCode), /401|404/)
  }
})

test('a handler that goes on reading after its answer is not cut short', async t => {
  const host = await startHttp(t, routes)
  const body = 'a'.repeat(3 * mb)
  const next = 'GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
  assert.match(await sendRaw(host, `${head('POST', '/api/notes/after', body.length, `Authorization: ${asReader.authorization}\r\n`)}${body}${next}`), /^HTTP\/1\.1 200 [^]*HTTP\/1\.1 200 /)
  assert.equal(readAfter, body.length)
})
