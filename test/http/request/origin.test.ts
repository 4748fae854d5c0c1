// Which other origins may read answers, and where a request came from.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { anyone, asReader, route, sendRaw, startHttp } from '../fixture.ts'
import type { Running } from '../fixture.ts'

const friend = 'https://friend.example'
const routes = [
  route('get', '/', { permission: 'note:read' }, () => []),
  route('post', '/', { permission: 'note:read' }, () => []),
  route('get', '/address', anyone, ctx => ({ ip: ctx.ip }))
]

test('pages of a configured origin may read every answer, refusals too', async t => {
  const host = await startHttp(t, routes, { settings: { corsOrigins: [friend] } })
  for (const headers of [{ ...asReader, origin: friend }, { origin: friend }]) {
    const answer = await host.fetch('/api/notes', { headers })
    const seen = ['access-control-allow-origin', 'access-control-allow-credentials', 'vary'].map(name => answer.headers.get(name))
    assert.deepEqual(seen, [friend, 'true', 'Origin'])
  }
  const stranger = await host.fetch('/api/notes', { headers: { ...asReader, origin: `${friend}.elsewhere.example` } })
  assert.equal(stranger.headers.get('access-control-allow-origin'), null)
  assert.equal(stranger.headers.get('vary'), 'Origin')
})

test('a browser that asks first is told the methods and headers', async t => {
  const host = await startHttp(t, routes, { settings: { corsOrigins: [friend] } })
  const ask = (origin: string): Promise<Response> => host.fetch('/api/notes', { method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'POST' } })
  const answer = await ask(friend)
  assert.equal(answer.status, 204)
  assert.equal(answer.headers.get('access-control-allow-methods'), 'GET, HEAD, OPTIONS, POST')
  assert.match(answer.headers.get('access-control-allow-headers') ?? '', /Authorization/)
  assert.equal((await ask('https://elsewhere.example')).headers.get('access-control-allow-methods'), null)
})

test('a page of a configured origin may change things with the cookie', async t => {
  const host = await startHttp(t, routes, { settings: { corsOrigins: [friend] } })
  const answer = await host.fetch('/api/notes', { method: 'POST', headers: { cookie: 'session=plat_reader', origin: friend, 'sec-fetch-site': 'cross-site' } })
  assert.equal(answer.status, 200)
})

test('the client address is right behind 0, 1 and 2 trusted proxies, and a forged one is ignored', async t => {
  const seen = async (host: Running, forwarded: string): Promise<unknown> =>
    (await (await host.fetch('/api/notes/address', { headers: { 'x-forwarded-for': forwarded } })).json() as { ip: string }).ip
  const [none, one, two] = [
    await startHttp(t, routes),
    await startHttp(t, routes, { settings: { trustProxyHops: 1 } }),
    await startHttp(t, routes, { settings: { trustProxyHops: 2 } })
  ]
  assert.equal(await seen(none, '6.6.6.6'), '127.0.0.1')
  assert.equal(await seen(one, '6.6.6.6, 1.1.1.1'), '1.1.1.1')
  assert.equal(await seen(two, '6.6.6.6, 1.1.1.1, 10.0.0.2'), '1.1.1.1')
  assert.equal(await seen(one, 'not-an-address'), '127.0.0.1')
  assert.equal(await seen(one, '::1'), '::1')
})

test('two Host headers are 400, and so is none', async t => {
  const host = await startHttp(t, routes)
  assert.match(await sendRaw(host, 'GET /healthz HTTP/1.1\r\nHost: a\r\nhOST: b\r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 400 /)
  assert.match(await sendRaw(host, 'GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 400 /)
  assert.match(await sendRaw(host, 'GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 200 /)
})
