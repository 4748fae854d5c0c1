// Who may call a route: a permission, anyone, or whoever is signed in.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ServiceUnavailable } from '../../core/contract/index.ts'
import { anyone, asReader, asWriter, readerToken, route, startHttp } from './fixture.ts'

const routes = [
  route('get', '/', { permission: 'note:read' }, ctx => ({ by: ctx.user.name })),
  route('post', '/', { permission: 'note:write' }, () => ({ done: true })),
  route('get', '/me', { signedIn: 'shows only the caller' }, ctx => ({ by: ctx.user.name })),
  route('get', '/ping', anyone, ctx => ({ by: ctx.user?.name ?? null }))
]

test('a route with a permission answers 401 to anonymous, 403 without it, and 200 to a holder', async t => {
  const host = await startHttp(t, routes)
  const nobody = await host.fetch('/api/notes')
  assert.equal(nobody.status, 401)
  assert.equal(nobody.headers.get('www-authenticate'), 'Bearer')
  assert.equal((await host.fetch('/api/notes', { method: 'POST', headers: asReader })).status, 403)
  assert.equal((await host.fetch('/api/notes', { method: 'POST', headers: asWriter })).status, 200)
  assert.deepEqual(await (await host.fetch('/api/notes', { headers: asReader })).json(), { by: 'reader' })
})

test('a signedIn route needs a caller and no permission', async t => {
  const host = await startHttp(t, routes)
  assert.equal((await host.fetch('/api/notes/me')).status, 401)
  assert.equal((await host.fetch('/api/notes/me', { headers: asReader })).status, 200)
})

test('a public route answers anyone, and knows the caller when there is one', async t => {
  const host = await startHttp(t, routes)
  assert.deepEqual(await (await host.fetch('/api/notes/ping')).json(), { by: null })
  assert.deepEqual(await (await host.fetch('/api/notes/ping', { headers: asReader })).json(), { by: 'reader' })
  assert.deepEqual(await (await host.fetch('/api/notes/ping', { headers: { authorization: 'Bearer unknown' } })).json(), { by: null })
})

test('no handler, body or validation runs before the guard', async t => {
  let ran = false
  const host = await startHttp(t, [route('post', '/', { permission: 'note:write' }, () => { ran = true })])
  const answer = await host.fetch('/api/notes', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{ broken' })
  assert.equal(answer.status, 401)
  assert.equal(ran, false)
})

test('HEAD is guarded as GET is, and answers its headers without a body', async t => {
  const host = await startHttp(t, routes)
  assert.equal((await host.fetch('/api/notes', { method: 'HEAD' })).status, 401)
  const answer = await host.fetch('/api/notes', { method: 'HEAD', headers: asReader })
  assert.equal(answer.status, 200)
  assert.equal(answer.headers.get('content-length'), String('{"by":"reader"}'.length))
  assert.equal(await answer.text(), '')
})

test('a caller may be looked up without waiting or with it', async t => {
  const user = { id: '1', name: 'late', displayName: null, email: 'l@example.org', permissions: new Set(['note:read']), signedInBy: { kind: 'session', id: '1', expiresAt: '' } } as const
  const host = await startHttp(t, routes, { authenticate: async token => token === readerToken ? user : undefined })
  assert.deepEqual(await (await host.fetch('/api/notes', { headers: asReader })).json(), { by: 'late' })
  assert.equal((await host.fetch('/api/notes', { headers: asWriter })).status, 401)
})

test('when the caller cannot be looked up the answer is the reason, not 401', async t => {
  const host = await startHttp(t, routes, { authenticate: async () => { throw new ServiceUnavailable('The database is away.', { retryAfterMs: 1_200 }) } })
  const answer = await host.fetch('/api/notes', { headers: asReader })
  assert.equal(answer.status, 503)
  assert.equal(answer.headers.get('retry-after'), '2')
})
