// A caller is known by a Bearer token or the session cookie; a cookie alone changes nothing unless a page of this site asked.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { anyone, asReader, readerToken, route, startHttp, writerToken } from './fixture.ts'

const routes = [
  route('get', '/', { permission: 'note:read' }, ctx => ({ by: ctx.user.name })),
  route('post', '/', { permission: 'note:read' }, ctx => ({ by: ctx.user.name })),
  route('post', '/login', anyone, ctx => ({ by: ctx.user?.name ?? null }))
]
const cookie = `a=b; session=${readerToken}; c=d`

test('the cookie named session is a credential, others and look-alikes are not', async t => {
  const host = await startHttp(t, routes)
  const status = async (value: string): Promise<number> => (await host.fetch('/api/notes', { headers: { cookie: value } })).status
  assert.equal(await status(cookie), 200)
  assert.equal(await status(`session=${readerToken}`), 200)
  assert.equal(await status(`a=session=${readerToken}`), 401)
  assert.equal(await status(`xsession=${readerToken}`), 401)
  assert.equal(await status('session='), 401)
})

test('Authorization wins over the cookie, and one that is not Bearer is 401 even beside a good cookie', async t => {
  const host = await startHttp(t, routes)
  const both = await host.fetch('/api/notes', { headers: { cookie, authorization: `Bearer ${writerToken}` } })
  assert.deepEqual(await both.json(), { by: 'writer' })
  assert.equal((await host.fetch('/api/notes', { headers: { authorization: `bearer ${readerToken}` } })).status, 200)
  for (const authorization of ['Basic YTpi', 'Bearer', 'Bearer ', readerToken, `Bearer ${readerToken} x`, `Bearer ${readerToken}, Bearer ${writerToken}`, 'Bearer unknown', '']) {
    const answer = await host.fetch('/api/notes', { headers: { cookie, authorization } })
    assert.equal(answer.status, 401, authorization)
    assert.equal(answer.headers.get('www-authenticate'), 'Bearer')
  }
})

test('a change asked for with the cookie needs proof that a page of this site asked', async t => {
  const host = await startHttp(t, routes)
  const status = async (headers: Record<string, string>): Promise<number> => (await host.fetch('/api/notes', { method: 'POST', headers: { cookie, ...headers } })).status
  assert.equal(await status({}), 403)
  assert.equal(await status({ origin: 'https://elsewhere.example' }), 403)
  assert.equal(await status({ origin: 'null' }), 403)
  assert.equal(await status({ origin: 'nonsense' }), 403)
  assert.equal(await status({ 'sec-fetch-site': 'cross-site', origin: host.url }), 403)
  assert.equal(await status({ 'sec-fetch-site': 'cross-site' }), 403)
  assert.equal(await status({ origin: `${host.url}0` }), 403)
  assert.equal(await status({ origin: host.url }), 200)
  assert.equal(await status({ 'sec-fetch-site': 'same-origin' }), 200)
  assert.equal(await status({ 'sec-fetch-site': 'same-site' }), 200)
})

test('a token in the header, and reading with the cookie, need no such proof', async t => {
  const host = await startHttp(t, routes)
  assert.equal((await host.fetch('/api/notes', { method: 'POST', headers: { ...asReader, origin: 'https://elsewhere.example' } })).status, 200)
  assert.equal((await host.fetch('/api/notes', { headers: { cookie, 'sec-fetch-site': 'cross-site' } })).status, 200)
})

test('on a public route a cookie without proof counts as nobody', async t => {
  const host = await startHttp(t, routes)
  assert.deepEqual(await (await host.fetch('/api/notes/login', { method: 'POST', headers: { cookie } })).json(), { by: null })
  assert.deepEqual(await (await host.fetch('/api/notes/login', { method: 'POST', headers: { cookie, origin: host.url } })).json(), { by: 'reader' })
})

test('behind a trusted proxy this site is the host the proxy was asked for', async t => {
  const behind = await startHttp(t, routes, { settings: { trustProxyHops: 1 } })
  const alone = await startHttp(t, routes)
  const headers = { cookie, origin: 'https://bulkhead.example', 'x-forwarded-host': 'bulkhead.example' }
  assert.equal((await behind.fetch('/api/notes', { method: 'POST', headers })).status, 200)
  assert.equal((await alone.fetch('/api/notes', { method: 'POST', headers })).status, 403)
})

test('with secure cookies every cookie is Secure, whatever the last proxy speaks', async t => {
  const host = await startHttp(t, [route('get', '/', anyone, ctx => { ctx.cookies.set('session', 'x', { sameSite: 'strict' }) })], { settings: { secureCookies: true } })
  assert.equal((await host.fetch('/api/notes')).headers.get('set-cookie'), 'session=x; path=/; samesite=strict; secure; httponly')
})
