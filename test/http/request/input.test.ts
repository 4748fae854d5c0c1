// What a request brings is checked before the handler sees it, and every field that does not pass is named.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { z } from '../../../core/contract/index.ts'
import { anyone, asReader, readerToken, route, sendRaw, startHttp } from '../fixture.ts'
import type { Running } from '../fixture.ts'

const Note = z.object({ title: z.string().max(20), tags: z.array(z.string()).default([]), place: z.object({ lat: z.number() }).optional() })
const routes = [
  route('get', '/', { ...anyone, query: z.object({ limit: z.coerce.number().int().max(100).default(50), tag: z.array(z.string()).optional() }) }, ctx => ctx.input.query),
  route('get', '/loose', { ...anyone, query: z.looseObject({}) }, ctx => ctx.input.query),
  route('get', '/bare', anyone, ctx => ({ ...ctx.input })),
  route('get', '/:id', { ...anyone, params: z.object({ id: z.coerce.number() }) }, ctx => ctx.input.params),
  route('post', '/', { ...anyone, body: Note, status: 201 }, ctx => ctx.input.body),
  route('post', '/maybe', { ...anyone, body: Note.optional() }, ctx => ({ sent: ctx.input.body !== undefined })),
  route('post', '/record', { ...anyone, body: z.record(z.string(), z.number()) }, ctx => ctx.input.body),
  route('post', '/refined', { ...anyone, body: z.object({ a: z.number(), b: z.number() }).refine(({ a, b }) => a < b, 'a comes before b') }, ctx => ctx.input.body),
  route('patch', '/:id', { ...anyone, params: z.object({ id: z.uuid() }), query: z.object({ dry: z.stringbool().optional() }), body: Note }, ctx => ctx.input)
]

const large = [route('post', '/', { ...anyone, body: z.string(), bodyLimitBytes: 100 * 1024 * 1024 }, ctx => ctx.input.body.length)]

const post = (host: Running, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}, path = '/api/notes'): Promise<Response> =>
  host.fetch(path, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body })

interface Refusal { status: number, detail: string, errors: { path: string, message: string }[] }
const refusal = async (answer: Response): Promise<Refusal> => await answer.json() as Refusal

test('params, query and body arrive parsed, with defaults', async t => {
  const host = await startHttp(t, routes)
  assert.deepEqual(await (await host.fetch('/api/notes')).json(), { limit: 50 })
  assert.deepEqual(await (await host.fetch('/api/notes?limit=7&tag=a&tag=b')).json(), { limit: 7, tag: ['a', 'b'] })
  assert.deepEqual(await (await host.fetch('/api/notes/12')).json(), { id: 12 })
  const created = await post(host, '{"title":"A"}')
  assert.equal(created.status, 201)
  assert.deepEqual(await created.json(), { title: 'A', tags: [] })
})

test('what a route does not declare it is not given', async t => {
  const host = await startHttp(t, routes)
  assert.deepEqual(await (await host.fetch('/api/notes/bare?a=1')).json(), {})
})

test('every field that does not pass is named, in params, query and body together', async t => {
  const host = await startHttp(t, routes)
  const answer = await host.fetch('/api/notes/7?dry=perhaps', {
    method: 'PATCH', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ title: 5, tags: ['a', 1], place: { lat: 'x' } })
  })
  assert.equal(answer.status, 422)
  assert.equal(answer.headers.get('content-type'), 'application/problem+json')
  assert.deepEqual((await refusal(answer)).errors.map(({ path }) => path), ['params.id', 'query.dry', 'body.title', 'body.tags.1', 'body.place.lat'])
})

test('unknown fields are refused in query and body, unless the schema takes them', async t => {
  const host = await startHttp(t, routes)
  assert.deepEqual((await refusal(await host.fetch('/api/notes?limit=1&pag=2&__proto__=3'))).errors.map(({ path }) => path), ['query.pag', 'query.__proto__'])
  const many = Array.from({ length: 1_200 }, (_, index) => `tag=${index}`).join('&')
  assert.deepEqual((await refusal(await host.fetch(`/api/notes?${many}&pag=2`))).errors.map(({ path }) => path), ['query.pag'], 'however many come before it')
  assert.deepEqual((await refusal(await post(host, '{"title":"A","titel":"B"}'))).errors, [{ path: 'body.titel', message: 'There is no such field.' }])
  assert.deepEqual(await (await host.fetch('/api/notes/loose?any=1')).json(), { any: '1' })
  assert.deepEqual(await (await post(host, '{"x":1}', {}, '/api/notes/record')).json(), { x: 1 })
})

test('a rule over several fields still holds when unknown ones are refused', async t => {
  const host = await startHttp(t, routes)
  assert.deepEqual((await refusal(await post(host, '{"a":2,"b":1}', {}, '/api/notes/refined'))).errors, [{ path: 'body', message: 'a comes before b' }])
  assert.equal((await post(host, '{"a":1,"b":2,"c":3}', {}, '/api/notes/refined')).status, 422)
  assert.equal((await post(host, '{"a":1,"b":2}', {}, '/api/notes/refined')).status, 200)
})

test('at most a hundred errors are listed', async t => {
  const host = await startHttp(t, routes)
  const many = Object.fromEntries(Array.from({ length: 2_000 }, (_, at) => [`field${at}`, at]))
  assert.equal((await refusal(await post(host, JSON.stringify({ title: 'A', ...many })))).errors.length, 100)
})

test('malformed JSON is 400', async t => {
  const host = await startHttp(t, routes)
  for (const body of ['{', '{"title":}', 'title', '{"title":"A"}}', '{"__proto__":{"title":"A"}}', '\u0000']) {
    assert.equal((await post(host, body)).status, 400, body)
  }
})

test('a body that is JSON but no object is told so by its schema', async t => {
  const host = await startHttp(t, routes)
  for (const body of ['null', '5', '"text"', '[]', 'true']) assert.equal((await post(host, body)).status, 422, body)
})

test('a missing body is told by the schema', async t => {
  const host = await startHttp(t, routes)
  assert.deepEqual((await refusal(await host.fetch('/api/notes', { method: 'POST' }))).errors.map(({ path }) => path), ['body'])
  assert.deepEqual(await (await host.fetch('/api/notes/maybe', { method: 'POST' })).json(), { sent: false })
  assert.deepEqual(await (await post(host, '{"title":"A"}', {}, '/api/notes/maybe')).json(), { sent: true })
})

test('a body in another type than JSON in UTF-8 is 415', async t => {
  const host = await startHttp(t, routes)
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'application/jsonx', 'application/json; charset=utf-16', '']) {
    assert.equal((await post(host, '{"title":"A"}', { 'content-type': type })).status, 415, type)
  }
  for (const type of ['application/json', 'Application/JSON; charset=UTF-8', 'application/merge-patch+json']) {
    assert.equal((await post(host, '{"title":"A"}', { 'content-type': type })).status, 201, type)
  }
})

test('a body that is not UTF-8 or names a prototype is 400, and a byte order mark is dropped', async t => {
  const host = await startHttp(t, routes)
  const bytes = (...codes: number[]): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.concat([Buffer.from('{"title":"'), Buffer.from(codes), Buffer.from('"}')]))
  for (const codes of [[0xff], [0xc3], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80]]) {
    const answer = await post(host, bytes(...codes))
    assert.deepEqual([answer.status, (await refusal(answer)).detail], [400, 'The body is not valid UTF-8.'], codes.join())
  }
  assert.equal((await post(host, bytes(0xc3, 0xa9))).status, 201)
  assert.equal((await post(host, bytes(0xef, 0xbf, 0xbd))).status, 201, 'the replacement character itself')
  assert.equal((await post(host, '\ufeff{"title":"A"}')).status, 201)
  assert.equal((await post(host, '{"title":"A","__proto__":{"a":1}}')).status, 400)
})

test('a known caller may send gzip, deflate and brotli; a broken one is 400, an unknown one 415', async t => {
  const host = await startHttp(t, routes)
  const plain = Buffer.from('{"title":"A"}')
  const status = async (body: Buffer, encoding: string): Promise<number> =>
    (await post(host, new Uint8Array(body), { ...asReader, 'content-encoding': encoding })).status
  for (const encoding of ['gzip', 'x-gzip', 'GZIP']) assert.equal(await status(gzipSync(plain), encoding), 201, encoding)
  assert.equal(await status(deflateSync(plain), 'deflate'), 201)
  assert.equal(await status(brotliCompressSync(plain), 'br'), 201)
  assert.equal(await status(plain, 'identity'), 201)
  for (const encoding of ['gzip', 'deflate', 'br']) assert.equal(await status(plain, encoding), 400, encoding)
  assert.equal(await status(gzipSync(plain).subarray(0, 12), 'gzip'), 400)
  assert.equal(await status(brotliCompressSync(plain).subarray(0, 8), 'br'), 400)
  for (const encoding of ['zstd', 'gzip, br', 'constructor', '']) assert.equal(await status(plain, encoding), 415, encoding)
})

test('a body over the limit is 413, sent plain, in chunks or packed', async t => {
  const host = await startHttp(t, large)
  const tooMuch = `"${'a'.repeat(11 * 1024 * 1024)}"`
  const plain = await post(host, tooMuch)
  assert.equal(plain.status, 413)
  assert.match((await refusal(plain)).detail, /10485760 bytes/)
  assert.equal((await post(host, new Uint8Array(gzipSync(tooMuch)), { ...asReader, 'content-encoding': 'gzip' })).status, 413)
  const head = 'POST /api/notes HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n'
  const next = 'GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
  const chunk = `${(1024 * 1024).toString(16)}\r\n${'a'.repeat(1024 * 1024)}\r\n`
  assert.match(await sendRaw(host, `${head}Transfer-Encoding: chunked\r\n\r\n${chunk.repeat(11)}0\r\n\r\n${next}`), /^HTTP\/1\.1 413 [^]*HTTP\/1\.1 200 /,
    'the little that is left is dropped, and the connection goes on')
  const packed = gzipSync(randomBytes(6 * 1024 * 1024).toString('hex').repeat(2), { level: 1 })
  const packedHead = `${head}Authorization: Bearer ${readerToken}\r\nContent-Encoding: gzip\r\nContent-Length: ${packed.length}\r\n\r\n`
  assert.match(await sendRaw(host, Buffer.concat([Buffer.from(packedHead), packed]), text => text.includes('requestId')), /^HTTP\/1\.1 413 /)
})

test('a route that declares no body leaves it unread', async t => {
  const host = await startHttp(t, [route('post', '/', anyone, async ctx => {
    const chunks = await ctx.req.toArray() as Buffer[]
    return { bytes: Buffer.concat(chunks).length }
  })])
  assert.deepEqual(await (await post(host, 'anything', { 'content-type': 'image/png' })).json(), { bytes: 8 })
})
