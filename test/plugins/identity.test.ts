// The plugin identity over real HTTP, as curl and a browser meet it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { adminPassword } from '../access/fixture.ts'
import { signIn } from '../support/client.ts'
import { post, serve } from './identity-fixture.ts'

test('a sign-in answers with the user and the expiry, and sets an HttpOnly, same-site cookie', async (t) => {
  const { url, house } = await serve(t)
  const answer = await post(`${url}/api/auth/login`, { name: 'admin', password: adminPassword }, { 'x-forwarded-for': '203.0.113.9', 'user-agent': 'curl' })
  assert.equal(answer.status, 200)
  const { user, expiresAt, ...rest } = await answer.json() as { user: { name: string }, expiresAt: string }
  assert.deepEqual([user.name, rest], ['admin', {}])

  const [cookie = '', ...others] = answer.headers.getSetCookie()
  assert.deepEqual(others, [])
  const [pair, ...attributes] = cookie.split('; ')
  assert.match(pair ?? '', /^session=plat_[0-9a-f]{64}$/)
  const expires = new Date(Math.floor(Date.parse(expiresAt) / 1_000) * 1_000).toUTCString()
  assert.deepEqual(attributes.map(text => text.toLowerCase()).sort(), [`expires=${expires.toLowerCase()}`, 'httponly', 'path=/', 'samesite=strict'])
  assert.deepEqual(await house.rows('select host(ip_addr) as address, user_agent from auth_sessions'), [{ address: '203.0.113.9', user_agent: 'curl' }])
})

test('where cookies are secure, so is this one', async (t) => {
  const { url } = await serve(t, { secureCookies: true })
  const answer = await post(`${url}/api/auth/login`, { name: 'admin', password: adminPassword })
  assert.match(answer.headers.getSetCookie()[0] ?? '', /; secure(;|$)/i)
})

test('a wrong password is 401, too many 429 with how long to wait, and what is no login 422', async (t) => {
  const { url } = await serve(t)
  const login = (body: unknown): Promise<Response> => post(`${url}/api/auth/login`, body)
  for (let count = 0; count < 10; count++) {
    const answer = await login({ name: 'admin', password: 'wrong password' })
    assert.deepEqual([answer.status, answer.headers.getSetCookie()], [401, []])
  }
  const refused = await login({ name: 'admin', password: adminPassword })
  assert.deepEqual([refused.status, refused.headers.get('retry-after')], [429, '300'])

  for (const body of [{ name: 'admin' }, { name: 'admin', password: 7 }, { name: '', password: 'x' }, { name: 'admin', password: 'x', admin: true }, []]) {
    assert.equal((await login(body)).status, 422, JSON.stringify(body))
  }
})

test('/me names the user, the permissions and the sign-in; signing out ends it and the cookie', async (t) => {
  const { url } = await serve(t)
  const admin = await signIn(url, 'admin', adminPassword)
  const me = await (await admin.get('/api/auth/me')).json() as { user: object, permissions: string[], signedInBy: { kind: string } }
  assert.deepEqual(Object.keys(me.user).sort(), ['displayName', 'email', 'id', 'name'])
  assert.deepEqual(me.permissions, [...me.permissions].sort())
  assert.ok(me.permissions.includes('admin:users'))
  assert.equal(me.signedInBy.kind, 'session')

  const out = await admin.post('/api/auth/logout')
  assert.equal(out.status, 204)
  assert.match(out.headers.getSetCookie()[0] ?? '', /^session=; .*expires=Thu, 01 Jan 1970/i)
  assert.equal((await admin.get('/api/auth/me')).status, 401)
})

test('a token is made, shown once, used as Bearer, listed and revoked', async (t) => {
  const { url } = await serve(t)
  const admin = await signIn(url, 'admin', adminPassword)
  const made = await admin.post('/api/tokens', { name: 'ci', scopes: ['project:read'] })
  assert.equal(made.status, 201)
  const { token, id } = await made.json() as { token: string, id: string }
  const headers = { authorization: `Bearer ${token}` }
  const me = await (await fetch(`${url}/api/auth/me`, { headers })).json() as { permissions: string[], signedInBy: { id: string } }
  assert.deepEqual([me.permissions, me.signedInBy.id], [['project:read'], id])

  const list = await (await admin.get('/api/tokens')).text()
  assert.ok(list.includes(id) && !list.includes(token))
  assert.equal((await admin.get('/api/tokens?limit=101')).status, 422)
  assert.equal((await fetch(`${url}/api/auth/logout`, { method: 'POST', headers })).status, 400)

  assert.equal((await admin.delete(`/api/tokens/${id}`)).status, 204)
  assert.equal((await fetch(`${url}/api/auth/me`, { headers })).status, 401)
  assert.equal((await admin.delete(`/api/tokens/${id}`)).status, 404)
})

test('what is wrong with a new token is named by its path', async (t) => {
  const { url } = await serve(t)
  const admin = await signIn(url, 'admin', adminPassword)
  const pathsOf = async (body: object): Promise<unknown> => {
    const answer = await admin.post('/api/tokens', body)
    assert.equal(answer.status, 422)
    return (await answer.json() as { errors: { path: string }[] }).errors.map(({ path }) => path)
  }
  assert.deepEqual(await pathsOf({ name: 'ci', scopes: ['project:read', 'boat:sink'] }), ['body.scopes.1'])
  assert.deepEqual(await pathsOf({ name: 'a\u0007', expiresInDays: 366 }), ['body.name', 'body.expiresInDays'])
  assert.deepEqual(await pathsOf({}), ['body.name'])
})

test('without a session or a token nothing but signing in answers', async (t) => {
  const { url } = await serve(t)
  assert.equal((await fetch(`${url}/api/auth/me`)).status, 401)
  assert.equal((await fetch(`${url}/api/tokens`)).status, 401)
  assert.equal((await post(`${url}/api/tokens`, { name: 'ci' })).status, 401)
  assert.equal((await post(`${url}/api/auth/logout`, {})).status, 401)
})

test('a sign-in never takes over a session from the request, the caller\'s own or a forged one', async (t) => {
  const { url } = await serve(t)
  const planted = `session=plat_${'a'.repeat(64)}`
  const login = async (cookie: string): Promise<string> => {
    const answer = await post(`${url}/api/auth/login`, { name: 'admin', password: adminPassword }, { cookie })
    assert.equal(answer.status, 200)
    return answer.headers.getSetCookie()[0]?.split(';')[0] ?? ''
  }
  const first = await login(planted)
  const second = await login(first)
  assert.equal(new Set([planted, first, second]).size, 3)
  const status = async (cookie: string): Promise<number> => (await fetch(`${url}/api/auth/me`, { headers: { cookie } })).status
  assert.deepEqual([await status(planted), await status(first), await status(second)], [401, 200, 200])
})

test('sessions are listed, shown, and ended: one, or all with this one', async (t) => {
  const { url } = await serve(t)
  const [here, there] = [await signIn(url, 'admin', adminPassword), await signIn(url, 'admin', adminPassword)]
  const { items, total } = await (await here.get('/api/auth/sessions')).json() as { items: { id: string, isCurrent: boolean }[], total: number }
  assert.equal(total, 2)
  const other = items.find(({ isCurrent }) => !isCurrent)?.id ?? ''
  assert.equal((await here.get(`/api/auth/sessions/${other}`)).status, 200)
  assert.equal((await here.delete(`/api/auth/sessions/${other}`)).status, 204)
  assert.deepEqual([(await there.get('/api/auth/me')).status, (await here.delete(`/api/auth/sessions/${other}`)).status], [401, 404])
  const all = await here.delete('/api/auth/sessions')
  assert.equal(all.status, 204)
  assert.match(all.headers.getSetCookie()[0] ?? '', /^session=; .*expires=Thu, 01 Jan 1970/i)
  assert.equal((await here.get('/api/auth/me')).status, 401)
})

test('the logged address is the client\'s behind 0, 1 and 2 trusted proxies, whatever it writes', async (t) => {
  const forwarded = '6.6.6.6, 203.0.113.9, 10.0.0.1'
  for (const [trustProxyHops, address] of [[0, '127.0.0.1'], [1, '10.0.0.1'], [2, '203.0.113.9']] as const) {
    const { url, house } = await serve(t, { trustProxyHops })
    await post(`${url}/api/auth/login`, { name: 'nobody', password: 'wrong password' }, { 'x-forwarded-for': forwarded })
    assert.deepEqual(await house.rows('select action, host(ip_addr) as address from audit_log'), [{ action: 'auth.login_failed', address }])
  }
})

test('the cookie is __Host-session where cookies are secure, and signing out clears both', async (t) => {
  const { url, house } = await serve(t, { secureCookies: true })
  const login = (headers: Record<string, string> = {}): Promise<Response> => post(`${url}/api/auth/login`, { name: 'admin', password: adminPassword }, headers)
  const answer = await login()
  const [cookie = '', ...others] = answer.headers.getSetCookie()
  assert.deepEqual(others, [])
  const [pair = '', ...attributes] = cookie.split('; ')
  assert.match(pair, /^__Host-session=plat_[0-9a-f]{64}$/)
  assert.deepEqual(attributes.map(text => text.toLowerCase()).filter(text => !text.startsWith('expires=')).sort(), ['httponly', 'path=/', 'samesite=strict', 'secure'])

  // A replica of the version before has set the other cookie.
  const before = (await login()).headers.getSetCookie()[0]?.split(';')[0]?.replace('__Host-', '') ?? ''
  const me = async (value: string): Promise<number> => (await fetch(`${url}/api/auth/me`, { headers: { cookie: value } })).status
  assert.deepEqual([await me(pair), await me(before), await me(`${before}; ${pair}`)], [200, 200, 200])
  const again = await login({ cookie: before })
  assert.match(again.headers.getSetCookie()[1] ?? '', /^session=; path=\/; expires=Thu, 01 Jan 1970/)

  const out = await fetch(`${url}/api/auth/logout`, { method: 'POST', headers: { cookie: `${before}; ${pair}`, origin: url.replace('http:', 'https:') } })
  assert.equal(out.status, 204)
  const cleared = out.headers.getSetCookie()
  assert.deepEqual(cleared.map(text => text.split('; ').filter(part => !part.startsWith('expires=')).join('; ')),
    ['__Host-session=; path=/; samesite=strict; secure; httponly', 'session=; path=/; samesite=strict; secure; httponly'])
  assert.ok(cleared.every(text => /expires=Thu, 01 Jan 1970/.test(text)))
  assert.deepEqual([await me(pair), await me(before)], [401, 401])
  assert.equal((await house.rows('select id from auth_sessions')).length, 1)
})

test('a page of another origin cannot sign its visitor in, without a cookie either', async (t) => {
  const { url } = await serve(t)
  const login = async (headers: Record<string, string>): Promise<[status: number, cookies: number]> => {
    const answer = await post(`${url}/api/auth/login`, { name: 'admin', password: adminPassword }, headers)
    return [answer.status, answer.headers.getSetCookie().length]
  }
  for (const headers of [{ origin: 'https://sibling.example' }, { 'sec-fetch-site': 'same-site' }, { 'sec-fetch-site': 'cross-site', origin: url }, { origin: 'null' }]) {
    assert.deepEqual(await login(headers as Record<string, string>), [403, 0], JSON.stringify(headers))
  }
  assert.deepEqual([await login({}), await login({ origin: url }), await login({ 'sec-fetch-site': 'same-origin' })], [[200, 1], [200, 1], [200, 1]])
})
