// A caller is known by a Bearer token or the session cookie; a cookie alone changes nothing unless a page of this origin asked.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { anyone, asReader, readerToken, route, startHttp, writerToken } from '../fixture.ts'

const routes = [
  route('get', '/', { permission: 'note:read' }, ctx => ({ by: ctx.user.name })),
  route('post', '/', { permission: 'note:read' }, ctx => ({ by: ctx.user.name })),
  ...(['put', 'patch', 'delete'] as const).map(method => route(method, '/', { permission: 'note:read' }, ctx => ({ by: ctx.user.name }))),
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

test('Authorization wins over the cookie: one that is not Bearer is 401 beside a good cookie', async t => {
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

/** With the cookie, by what the browser says of the page that asks. */
const proofs = (own: string): readonly [expected: 200 | 403, headers: Record<string, string>][] => [
  [200, { origin: own }],
  [200, { 'sec-fetch-site': 'same-origin' }],
  [200, { 'sec-fetch-site': 'same-origin', origin: own }],
  // A page with `Referrer-Policy: no-referrer` sends a form so.
  [200, { 'sec-fetch-site': 'same-origin', origin: 'null' }],
  [403, {}],
  [403, { origin: 'https://elsewhere.example' }],
  [403, { origin: 'null' }],
  [403, { origin: 'nonsense' }],
  [403, { origin: '' }],
  [403, { origin: `${own}0` }],
  [403, { origin: `${own}/` }],
  [403, { origin: own.replace('http:', 'https:') }],
  [403, { origin: own.replace(/:\d+$/, '') }],
  [403, { origin: own.replace('//', '//a.') }],
  [403, { origin: own.replace('//', '//a@') }],
  [403, { origin: `${own}, https://elsewhere.example` }],
  ...['same-site', 'cross-site', 'none', 'same-origin, same-site', 'Same-Origin', ''].flatMap(site => [
    [403, { 'sec-fetch-site': site }], [403, { 'sec-fetch-site': site, origin: own }], [403, { 'sec-fetch-site': site, origin: 'https://sibling.example' }]
  ] as [403, Record<string, string>][]),
  [403, { 'sec-fetch-site': 'same-origin', origin: 'https://sibling.example' }]
]

test('a change with the cookie, with a body or without, must come from a page of this origin', async t => {
  const host = await startHttp(t, routes)
  for (const [expected, headers] of proofs(host.url)) {
    for (const [method, path] of [['POST', ''], ['PUT', ''], ['PATCH', ''], ['DELETE', '']] as const) {
      const answer = await host.fetch(`/api/notes${path}`, { method, headers: { cookie, ...headers } })
      assert.equal(answer.status, expected, `${method} ${JSON.stringify(headers)}`)
    }
  }
})

test('a change with a cookie, even a dead one, from another origin is refused on a public route', async t => {
  const host = await startHttp(t, routes)
  for (const value of [cookie, 'session=dead']) {
    for (const [expected, headers] of proofs(host.url)) {
      const answer = await host.fetch('/api/notes/login', { method: 'POST', headers: { cookie: value, ...headers } })
      // Without a word about where it comes from it is no browser: it counts as nobody, see below.
      assert.equal(answer.status, Object.keys(headers).length === 0 ? 200 : expected, `${value} ${JSON.stringify(headers)}`)
    }
  }
})

test('where cookies are secure this origin is the one with https', async t => {
  const host = await startHttp(t, routes, { settings: { secureCookies: true } })
  const status = async (origin: string): Promise<number> => (await host.fetch('/api/notes', { method: 'POST', headers: { cookie, origin } })).status
  assert.deepEqual([await status(host.url), await status(host.url.replace('http:', 'https:'))], [403, 200])
})

test('the port of the protocol itself may be written or left out', async t => {
  const host = await startHttp(t, routes, { settings: { trustProxyHops: 1, secureCookies: true } })
  const status = async (origin: string, forwarded: string): Promise<number> =>
    (await host.fetch('/api/notes', { method: 'POST', headers: { cookie, origin, 'x-forwarded-host': forwarded } })).status
  assert.deepEqual([
    await status('https://bulkhead.example', 'bulkhead.example:443'), await status('https://bulkhead.example', 'BULKHEAD.example'),
    await status('https://bulkhead.example:8443', 'bulkhead.example:8443'), await status('https://bulkhead.example', 'bulkhead.example:80'),
    await status('https://bulkhead.example:8443', 'bulkhead.example')
  ], [200, 200, 200, 403, 403])
})

test('__Host-session wins over session where cookies are secure; a lone session cookie is read', async t => {
  const host = await startHttp(t, routes, { settings: { secureCookies: true } })
  const by = async (value: string): Promise<unknown> => {
    const answer = await host.fetch('/api/notes', { headers: { cookie: value } })
    return answer.ok ? (await answer.json() as { by: string }).by : answer.status
  }
  assert.equal(await by(`__Host-session=${readerToken}`), 'reader')
  assert.equal(await by(`session=${readerToken}`), 'reader')
  assert.equal(await by(`session=${writerToken}; __Host-session=${readerToken}`), 'reader')
  assert.equal(await by(`__Host-session=${readerToken}; session=${writerToken}`), 'reader')
  // One that is over is no reason to take what a sibling site may have planted.
  assert.equal(await by(`__Host-session=over; session=${writerToken}`), 401)
  assert.equal(await by(`__host-session=${readerToken}`), 401)
  const plain = await startHttp(t, routes)
  assert.equal((await plain.fetch('/api/notes', { headers: { cookie: `__Host-session=${readerToken}` } })).status, 401)
})

test('two different cookies of one name are no credential, and the refusal says so', async t => {
  const host = await startHttp(t, routes)
  const ask = (value: string): Promise<Response> => host.fetch('/api/notes', { headers: { cookie: value } })
  assert.equal((await ask(`session=${readerToken}; session=${readerToken}`)).status, 200)
  const refused = await ask(`session=${writerToken}; session=${readerToken}`)
  assert.equal(refused.status, 401)
  assert.match((await refused.json() as { detail: string }).detail, /two different cookies named "session"/)
  // Signing in is how one gets out of it.
  const login = await host.fetch('/api/notes/login', { method: 'POST', headers: { cookie: `session=${writerToken}; session=${readerToken}`, origin: host.url } })
  assert.deepEqual(await login.json(), { by: null })
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
  const headers = { cookie, origin: 'https://bulkhead.example', 'x-forwarded-host': 'bulkhead.example', 'x-forwarded-proto': 'https' }
  assert.equal((await behind.fetch('/api/notes', { method: 'POST', headers })).status, 200)
  assert.equal((await alone.fetch('/api/notes', { method: 'POST', headers })).status, 403)
})

test('with secure cookies every cookie is Secure, whatever the last proxy speaks', async t => {
  const host = await startHttp(t, [route('get', '/', anyone, ctx => { ctx.cookies.set('session', 'x', { sameSite: 'strict' }) })], { settings: { secureCookies: true } })
  assert.equal((await host.fetch('/api/notes')).headers.get('set-cookie'), 'session=x; path=/; samesite=strict; secure; httponly')
})
