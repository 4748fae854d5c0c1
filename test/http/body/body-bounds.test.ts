// What a body may cost before its caller is known, and after: size, depth, number of values, packing, and the memory it takes.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { brotliCompressSync, constants, deflateSync, gzipSync } from 'node:zlib'
import { z } from '../../../core/contract/index.ts'
import { anyone, asReader, asWriter, route, sendRaw, startHttp } from '../fixture.ts'
import type { Running } from '../fixture.ts'

const body = z.unknown()
const own = { signedIn: 'a test' } as const
const routes = [
  route('post', '/', { ...anyone, body }, () => ({ read: true })),
  route('post', '/own', { ...own, body }, () => ({ read: true })),
  route('post', '/small', { ...own, body, bodyLimitBytes: 100 }, () => ({ read: true })),
  route('post', '/large', { ...anyone, body, bodyLimitBytes: 200_000 }, () => ({ read: true })),
  route('post', '/larger', { ...anyone, body, bodyLimitBytes: 1_000_000_000 }, () => ({ read: true })),
  route('post', '/in', {
    permission: 'note:read', project: 'body.projectId', body: z.looseObject({ projectId: z.uuid() }), bodyLimitBytes: 200
  }, () => ({ read: true }))
]

type Bytes = string | Uint8Array<ArrayBuffer>
const post = (host: Running, path: string, sent: Bytes, headers: Record<string, string> = {}): Promise<Response> =>
  host.fetch(`/api/notes${path}`, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: sent })
const statusOf = async (...request: Parameters<typeof post>): Promise<number> => (await post(...request)).status
const text = (length: number): string => `"${'a'.repeat(length - 2)}"`
const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)

test('a public route takes 64 kB, another as much as the host, and each may set its own limit', async t => {
  const host = await startHttp(t, routes, { settings: { bodyLimitBytes: 500_000 } })
  assert.deepEqual([await statusOf(host, '', text(65_536)), await statusOf(host, '', text(65_537))], [200, 413])
  assert.deepEqual([await statusOf(host, '/own', text(500_000), asReader), await statusOf(host, '/own', text(500_001), asReader)], [200, 413])
  assert.deepEqual([await statusOf(host, '/small', text(100), asReader), await statusOf(host, '/small', text(101), asReader)], [200, 413])
  assert.deepEqual([await statusOf(host, '/large', text(200_000)), await statusOf(host, '/large', text(200_001))], [200, 413])
  assert.deepEqual([await statusOf(host, '/larger', text(500_000)), await statusOf(host, '/larger', text(500_001))], [200, 413], 'no route exceeds the operator\'s limit')
  const answer = await post(host, '/small', text(101), asReader)
  assert.match((await answer.json() as { detail: string }).detail, /larger than 100 bytes/)
})

test('the limit holds where the guard reads the body to find its project', async t => {
  const host = await startHttp(t, routes)
  const sent = (length: number): string => JSON.stringify({ projectId: '0d4e9c1e-5f0c-4a55-9c3c-0c6a7c6a1d11', x: 'a'.repeat(length) })
  assert.equal(await statusOf(host, '/in', sent(10), asReader), 200)
  assert.equal(await statusOf(host, '/in', sent(200), asReader), 413)
  assert.equal(await statusOf(host, '/in', sent(200)), 401)
})

test('an unknown caller sends no packed body, a known one is bounded packed and unpacked', async t => {
  const host = await startHttp(t, routes)
  const small = Buffer.from('{"a":1}')
  const blank = Buffer.alloc(11 * 1024 * 1024, ' ')
  const packings = [['gzip', gzipSync], ['deflate', deflateSync], ['br', brotliCompressSync]] as const
  for (const [encoding, pack] of packings) {
    const send = (path: string, plain: Buffer, headers: Record<string, string> = {}): Promise<number> =>
      statusOf(host, path, new Uint8Array(pack(plain)), { 'content-encoding': encoding, ...headers })
    assert.equal(await send('', small), 415, encoding)
    assert.equal(await send('', small, { authorization: 'Bearer unknown' }), 415, encoding)
    assert.equal(await send('', small, asReader), 200, encoding)
    assert.equal(await send('/small', Buffer.from(text(100)), asReader), 200, encoding)
    assert.equal(await send('/small', Buffer.from(text(101)), asReader), 413, encoding)
    assert.equal(await send('/own', blank, asReader), 413, encoding)
  }
  // Each empty block adds to what is sent and nothing to what comes out.
  const [head, block] = [Buffer.from([0x78, 0x01]), Buffer.from([0, 0, 0, 0xff, 0xff])]
  const idle = Buffer.concat([head, ...Array.from({ length: 40 }, () => block)])
  assert.equal(await statusOf(host, '/small', new Uint8Array(idle), { 'content-encoding': 'deflate', ...asReader }), 413)
})

test('arrays and objects are nested 64 deep at most, whatever is in them', async t => {
  const host = await startHttp(t, routes)
  const objects = (depth: number): string => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`
  for (const make of [nested, objects, (depth: number) => `{"a":"[[\\"[","b":${nested(depth - 1)}}`]) {
    for (const headers of [{}, asReader]) {
      assert.equal(await statusOf(host, '', make(64), headers), 200)
      assert.equal(await statusOf(host, '', make(65), headers), 413)
    }
  }
  const many = await post(host, '', '['.repeat(60_000))
  assert.equal(many.status, 413)
  assert.match((await many.json() as { detail: string }).detail, /nested deeper than 64 levels/)
  assert.equal(await statusOf(host, '', `[${'[],'.repeat(2_000)}0]`), 200, 'beside each other they may be')
  assert.equal(await statusOf(host, '', text(30_000).replaceAll('a', '[')), 200, 'in a text they are characters')
})

test('an unknown caller sends 10,000 keys and values at most, a known one 100,000', async t => {
  const host = await startHttp(t, routes)
  const forms: [string, (tokens: number) => string][] = [
    ['numbers', tokens => `[${'0,'.repeat(tokens - 2)}0]`],
    ['texts', tokens => `[${'"",'.repeat(tokens - 2)}""]`],
    ['arrays', tokens => `[${'[],'.repeat(tokens - 2)}[]]`],
    ['literals', tokens => `[${'true,'.repeat(tokens - 2)}null]`],
    ['keys', tokens => `[{${Array.from({ length: tokens / 2 - 1 }, (_, at) => `"${at.toString(36)}":0`).join()}}]`]
  ]
  for (const [name, make] of forms) {
    assert.equal(await statusOf(host, '', make(10_000)), 200, name)
    assert.equal(await statusOf(host, '', make(10_002)), 413, name)
    assert.equal(await statusOf(host, '/own', make(100_000), asReader), 200, name)
    assert.equal(await statusOf(host, '/own', make(100_002), asReader), 413, name)
  }
})

test('a key of more than 1,024 bytes and a number of more than 128 characters are 413', async t => {
  const host = await startHttp(t, routes)
  const cases: [string, number][] = [
    [`{"${'k'.repeat(1_024)}":1}`, 200], [`{"${'k'.repeat(1_025)}":1}`, 413], [`{"${'k'.repeat(1_025)}"   \n :1}`, 413], [`{"a":"${'k'.repeat(9_000)}"}`, 200],
    [`[${'1'.repeat(128)}]`, 200], [`[${'1'.repeat(129)}]`, 413], [`-${'0.1'.padEnd(200, '1')}`, 413], [`{"a":1e${'9'.repeat(300)}}`, 413],
    [`[${Array.from({ length: 100 }, () => '9'.repeat(400)).join()}]`, 413], [`"${'1'.repeat(5_000)}"`, 200]
  ]
  for (const [sent, status] of cases) assert.equal(await statusOf(host, '', sent), status, sent.slice(0, 40))
})

test('escapes and broken texts do not lead the count astray', async t => {
  const host = await startHttp(t, routes)
  const quotes = String.raw`"\"[[[\\\\"`
  assert.equal(await statusOf(host, '', `[${Array.from({ length: 500 }, () => quotes).join()}]`), 200)
  assert.equal(await statusOf(host, '', String.raw`["a\\",${nested(65)}]`), 413)
  for (const broken of ['"', '"\\', '["a', '{"a', '[1,', '"\\"', '\\', ']]]]', '{]']) assert.equal(await statusOf(host, '', broken), 400, broken)
})

test('a refused caller is answered before a byte of the body has come', async t => {
  const host = await startHttp(t, routes)
  const ask = (path: string, headers = ''): Promise<string> => sendRaw(host,
    `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 50000\r\n${headers}\r\n`, answer => answer.includes('requestId'))
  assert.match(await ask('/api/notes/own'), /^HTTP\/1\.1 401 /)
  assert.match(await ask('/api/notes/in'), /^HTTP\/1\.1 401 /)
  assert.match(await ask('/api/notes/nowhere'), /^HTTP\/1\.1 404 /)
  assert.match(await ask('/api/none'), /^HTTP\/1\.1 404 /)
  assert.match(await ask('/api/notes', 'Content-Encoding: br\r\n'), /^HTTP\/1\.1 415 /)
  assert.match(await ask('/api/notes', 'Authorization: Basic x\r\n'), /^HTTP\/1\.1 401 /)
  const writing = await startHttp(t, [route('post', '/', { permission: 'note:write', body }, () => ({}))])
  assert.match(await sendRaw(writing, `POST /api/notes HTTP/1.1\r\nHost: a\r\nAuthorization: ${asReader.authorization}\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n`,
    answer => answer.includes('requestId')), /^HTTP\/1\.1 403 /)
  assert.equal(await statusOf(writing, '', '{}', asWriter), 200)
})

test('a body over its limit by its own Content-Length is refused before it is read', async t => {
  const host = await startHttp(t, routes)
  const answer = await sendRaw(host, 'POST /api/notes HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 65537\r\n\r\n', text => text.includes('requestId'))
  assert.match(answer, /^HTTP\/1\.1 413 /)
})

/** A host in a process of its own with a small heap. `grown` gives the megabytes by which its peak of memory has risen since it was last asked. */
async function startSmall (t: TestContext): Promise<{ host: Running, grown: () => Promise<number> }> {
  const child = spawn(process.execPath, ['--max-old-space-size=64', join(import.meta.dirname, 'body-host.ts')], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  t.after(() => child.kill('SIGKILL'))
  const [{ port }] = await once(child, 'message') as [{ port: number }]
  const url = `http://127.0.0.1:${port}`
  const host = { url, listening: { address: { host: '127.0.0.1', port } }, fetch: (path: string, init?: RequestInit) => fetch(`${url}${path}`, init) } as Running
  const grown = async (): Promise<number> => {
    child.send('grown')
    const [{ mb }] = await once(child, 'message') as [{ mb: number }]
    return mb
  }
  return { host, grown }
}

const fast = { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }
const packed = (plain: string | Buffer): Uint8Array<ArrayBuffer> => new Uint8Array(brotliCompressSync(plain, fast))
const hostile = (length: number): [string, string][] => [
  ['depth', '['.repeat(length)],
  ['objects', '['.padEnd(length, '{},')],
  ['keys', `{${Array.from({ length: length / 10 }, (_, at) => `"${at}":0`).join()}}`],
  ['texts', '['.padEnd(length, '"a",')],
  ['numbers', '['.padEnd(length, '1e9,')],
  ['one number', '1'.repeat(length)],
  ['one key', `{"${'\\u0061'.repeat(length / 6)}":1}`]
]

test('31 bytes that unpack to five million arrays are refused, and cost no memory', async t => {
  const { host, grown } = await startSmall(t)
  const attack = new Uint8Array(brotliCompressSync('['.repeat(5_200_000)))
  assert.ok(attack.length <= 31)
  assert.equal(await statusOf(host, '', '{}'), 200)
  await grown()
  for (let at = 0; at < 20; at++) assert.equal(await statusOf(host, '', attack, { 'content-encoding': 'br' }), 415)
  const mb = await grown()
  assert.ok(mb < 16, `the process grew by ${mb} MB`)
})

test('hostile bodies of unknown callers are refused within a few megabytes', async t => {
  const { host, grown } = await startSmall(t)
  assert.equal(await statusOf(host, '', text(60_000)), 200)
  await grown()
  for (const [name, sent] of hostile(60_000)) assert.equal(await statusOf(host, '', sent), 413, name)
  const mb = await grown()
  assert.ok(mb < 16, `the process grew by ${mb} MB`)
})

test('hostile bodies of known callers, packed or not, are refused in a heap of 64 MB', async t => {
  const { host } = await startSmall(t)
  for (const [name, sent] of hostile(4_200_000)) {
    assert.equal(await statusOf(host, '/own', sent, asReader), 413, name)
    assert.equal(await statusOf(host, '/own', packed(sent), { ...asReader, 'content-encoding': 'br' }), 413, `${name}, packed`)
  }
})

test('a body in chunks of one byte takes no more memory than another', async t => {
  const { host, grown } = await startSmall(t)
  const send = async (length: number): Promise<void> => {
    const chunks = `1\r\n"\r\n${'1\r\na\r\n'.repeat(length)}1\r\n"\r\n0\r\n\r\n`
    const answer = await sendRaw(host, `POST /api/notes/own HTTP/1.1\r\nHost: a\r\nAuthorization: ${asReader.authorization}\r\n` +
      `Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n${chunks}`)
    assert.match(answer, /^HTTP\/1\.1 200 /)
  }
  await send(20_000)
  await grown()
  await send(200_000)
  const mb = await grown()
  assert.ok(mb < 12, `the process grew by ${mb} MB`)
})
