// One user has so many requests under way at once, and no more; whatever has begun to be answered counts no longer.

import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { anyone, asReader, asWriter, route, startHttp, until } from './fixture.ts'

const signedIn = { signedIn: 'a test asks' } as const

test('a user past the limit gets 429; others are served, and so is the user later', async t => {
  const release = Promise.withResolvers<undefined>()
  let running = 0
  const host = await startHttp(t, [
    route('get', '/slow', signedIn, async () => { running++; await release.promise; return { ok: true } }),
    route('get', '/quick', signedIn, () => ({ ok: true })),
    route('get', '/open', anyone, () => ({ ok: true }))
  ], { settings: { requestsPerUserMax: 2 } })
  const slow = [1, 2].map(() => host.fetch('/api/notes/slow', { headers: asReader }))
  await until(() => running === 2)
  for (const path of ['/api/notes/quick', '/api/notes/slow', '/api/notes/open']) {
    const refused = await host.fetch(path, { headers: asReader })
    assert.equal(refused.status, 429)
    assert.equal(refused.headers.get('retry-after'), '1')
    assert.match((await refused.json() as { detail: string }).detail, /2 requests under way/)
  }
  assert.equal((await host.fetch('/api/notes/quick', { headers: asWriter })).status, 200)
  assert.equal((await host.fetch('/api/notes/open')).status, 200)
  release.resolve(undefined)
  assert.deepEqual((await Promise.all(slow)).map(({ status }) => status), [200, 200])
  for (let times = 0; times < 5; times++) assert.equal((await host.fetch('/api/notes/quick', { headers: asReader })).status, 200)
})

test('what fails or is refused counts no longer than it lasts', async t => {
  const host = await startHttp(t, [
    route('get', '/throws', signedIn, () => { throw new Error('sync') }),
    route('get', '/rejects', signedIn, async () => { throw new Error('async') }),
    route('get', '/forbidden', { permission: 'note:own' }, () => ({ ok: true })),
    route('get', '/quick', signedIn, () => ({ ok: true }))
  ], { settings: { requestsPerUserMax: 1 } })
  for (const [path, status] of [['throws', 500], ['rejects', 500], ['forbidden', 403], ['none', 404], ['quick', 200]] as const) {
    for (let times = 0; times < 3; times++) assert.equal((await host.fetch(`/api/notes/${path}`, { headers: asReader })).status, status, path)
  }
})

test('an answer that has begun counts no more, however it is given', async t => {
  const streams: PassThrough[] = []
  const host = await startHttp(t, [
    route('get', '/stream', signedIn, () => { const stream = new PassThrough(); streams.push(stream); stream.write('begun'); return stream }),
    route('get', '/own', signedIn, async ctx => {
      ctx.respond = false
      ctx.res.writeHead(200).write('begun')
      await new Promise(resolve => ctx.res.on('close', resolve))
    }),
    route('get', '/quick', signedIn, () => ({ ok: true }))
  ], { settings: { requestsPerUserMax: 2 } })
  const open: Response[] = []
  for (let times = 0; times < 3; times++) for (const path of ['stream', 'own']) open.push(await host.fetch(`/api/notes/${path}`, { headers: asReader }))
  assert.deepEqual(new Set(open.map(({ status }) => status)), new Set([200]))
  assert.equal((await host.fetch('/api/notes/quick', { headers: asReader })).status, 200)
  await Promise.all(open.map(async ({ body }) => body?.cancel()))
  for (const stream of streams) stream.destroy()
})

test('a handler whose client has gone counts until it ends or its time is up', async t => {
  let running = 0
  const host = await startHttp(t, [
    route('get', '/hangs', signedIn, () => { running++; return new Promise(() => undefined) }),
    route('get', '/quick', signedIn, () => ({ ok: true }))
  ], { settings: { requestsPerUserMax: 2, requestTimeoutMs: 1_500 } })
  const gone = new AbortController()
  const asked = [1, 2].map(() => host.fetch('/api/notes/hangs', { headers: asReader, signal: gone.signal }).catch(() => 'gone'))
  await until(() => running === 2)
  gone.abort()
  assert.deepEqual(await Promise.all(asked), ['gone', 'gone'])
  assert.equal((await host.fetch('/api/notes/quick', { headers: asReader })).status, 429)
  const from = performance.now()
  let status = 429
  while (status === 429 && performance.now() - from < 5_000) ({ status } = await host.fetch('/api/notes/quick', { headers: asReader }))
  assert.equal(status, 200)
})
