// A handler and its middleware see the caller, never what the caller showed to be known.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import type { RequestContext } from '../../../core/contract/index.ts'
import { anyone, readerToken, route, sendRaw, startHttp } from '../fixture.ts'
import type { Running } from '../fixture.ts'

interface Seen { by: string | null, authorization: unknown, cookie: unknown, pet: unknown, raw: readonly string[], everything: string }

const see = (ctx: RequestContext): Seen => ({
  by: ctx.user?.name ?? null,
  authorization: [ctx.get('authorization'), ctx.headers.authorization, ctx.req.headers.authorization, ctx.request.header.authorization, ctx.req.headersDistinct.authorization],
  cookie: [ctx.get('cookie'), ctx.headers.cookie],
  pet: ctx.cookies.get('pet') ?? null,
  raw: ctx.req.rawHeaders,
  everything: inspect([ctx.cookies.get('session'), ctx.cookies.get('__Host-session'), ctx.headers, ctx.req.headers, ctx.request.headers, ctx.req.headersDistinct,
    ctx.req.rawHeaders, ctx.res.req.headers, ctx.toJSON(), ctx], { depth: 6, showHidden: true, maxStringLength: null, maxArrayLength: null })
})

const routes = [
  route('get', '/', { permission: 'note:read' }, see),
  route('get', '/me', { signedIn: 'shows what is seen' }, see),
  route('get', '/open', anyone, see),
  route('post', '/open', anyone, see)
]

const read = async (host: Running, path: string, headers: Record<string, string>, method = 'GET'): Promise<Seen> =>
  await (await host.fetch(`/api/notes${path}`, { method, headers })).json() as Seen

for (const secureCookies of [false, true]) {
  test(`ctx has all cookies except the session cookie (${secureCookies ? 'secure' : 'plain'})`, async t => {
    const host = await startHttp(t, routes, { settings: { secureCookies } })
    for (const path of ['', '/me', '/open']) {
      const seen = await read(host, path, { cookie: `pet=cat; session=${readerToken}; __Host-session=${readerToken};  mysession=1` })
      assert.deepEqual([seen.by, seen.pet, seen.cookie], ['reader', 'cat', ['pet=cat; mysession=1', 'pet=cat; mysession=1']], path)
      assert.ok(!seen.everything.includes(readerToken), path)
    }
  })
}

test('where the session cookie was the only one there is no cookie header', async t => {
  const host = await startHttp(t, routes)
  const seen = await read(host, '', { cookie: `session=${readerToken}` })
  assert.deepEqual([seen.by, seen.cookie], ['reader', ['', null]])
  assert.ok(!seen.raw.some(name => name.toLowerCase() === 'cookie'))
})

test('Authorization is not in ctx once the host has taken it', async t => {
  const host = await startHttp(t, routes)
  for (const path of ['', '/me', '/open']) {
    const seen = await read(host, path, { authorization: `bearer ${readerToken}`, cookie: `session=${readerToken}` })
    assert.deepEqual([seen.by, seen.authorization], ['reader', ['', null, null, null, null]], path)
    assert.ok(!seen.everything.includes(readerToken), path)
  }
})

test('ctx hides a token of this platform, even of no user, and shows the plugin\'s own token', async t => {
  const host = await startHttp(t, routes)
  const own = await read(host, '/open', { authorization: 'Bearer plat_of_a_user_who_is_switched_off' })
  assert.deepEqual([own.by, own.authorization], [null, ['', null, null, null, null]])
  const others = await read(host, '/open', { authorization: 'Bearer of-a-webhook' })
  assert.equal((others.authorization as unknown[])[0], 'Bearer of-a-webhook')
})

test('a change that counts as nobody\'s shows no credential either', async t => {
  const host = await startHttp(t, routes)
  const seen = await read(host, '/open', { cookie: `session=${readerToken}` }, 'POST')
  assert.equal(seen.by, null)
  assert.ok(!seen.everything.includes(readerToken))
})

test('headers that come twice are hidden twice, and middleware sees no more than the handler', async t => {
  let seen: Seen | undefined
  const host = await startHttp(t, routes, { middleware: [(ctx, next) => { seen = see(ctx as unknown as RequestContext); return next() }] })
  await sendRaw(host, [
    'GET /api/notes HTTP/1.1', 'Host: a', `AUTHORIZATION: Bearer ${readerToken}`, `authorization: Bearer ${readerToken}`, `Cookie: session=${readerToken}`,
    `cookie: a=b; session=${readerToken}`, 'Connection: close', '', ''
  ].join('\r\n'))
  assert.equal(seen?.by, 'reader')
  assert.ok(!seen.everything.includes(readerToken))
})
