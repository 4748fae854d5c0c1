// One spelling reaches a route; every other one is 404, and none is a way around a guard.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from '../../../core/contract/index.ts'
import { anyone, asReader, readerToken, route, sendRaw, startHttp } from '../fixture.ts'

const routes = [
  route('get', '/', { permission: 'note:read' }, () => ({ route: 'list' })),
  route('get', '/:id', { permission: 'note:read', params: z.object({ id: z.string() }) }, ctx => ({ route: 'one', id: ctx.input.params.id })),
  route('get', '/archive', { permission: 'note:read' }, () => ({ route: 'archive' })),
  route('get', '/:id/parts/:part', { permission: 'note:read', params: z.object({ id: z.string(), part: z.string() }) }, ctx => ctx.input.params),
  route('get', '/files/*path', { ...anyone, params: z.object({ path: z.string() }) }, ctx => ctx.input.params)
]

test('capitals, doubled, trailing and encoded slashes and an encoded mount are 404', async t => {
  const host = await startHttp(t, routes)
  const others = [
    '/API/notes', '/api/NOTES', '/API/NOTES', '/api//notes', '//api/notes', '/api/notes/', '/api/notes//', '/api/notes/archive/', '/api/%6eotes', '/api%2Fnotes',
    '/api/notes%2Farchive', '/api/notes/../notes', '/api/./notes', '/api/notes;a=b', '/api', '/api/', '/', '/notes', '/api/none', '/api/notes/a/b/c', '/api/notes/FILES/a', '*'
  ]
  for (const path of others) {
    const answer = await sendRaw(host, `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: ${asReader.authorization}\r\n\r\n`)
    assert.match(answer, /^HTTP\/1\.1 404 /, path)
  }
})

test('no spelling gets past the guard', async t => {
  const host = await startHttp(t, routes)
  for (const path of ['/api/notes', '/api/notes/Archive', '/api/notes/ARCHIVE', '/api/notes/%61rchive', '/api/notes/archive?x=/', '/api/notes/archive%2F', '/api/notes/%2e%2e']) {
    assert.match(await sendRaw(host, `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`), /^HTTP\/1\.1 401 /, path)
  }
})

test('a path without parameters is found before one with them, whichever came first', async t => {
  const host = await startHttp(t, routes)
  assert.deepEqual(await (await host.fetch('/api/notes/archive', { headers: asReader })).json(), { route: 'archive' })
  assert.deepEqual(await (await host.fetch('/api/notes/7', { headers: asReader })).json(), { route: 'one', id: '7' })
})

test('parameters arrive decoded', async t => {
  const host = await startHttp(t, routes)
  assert.deepEqual(await (await host.fetch('/api/notes/a%2Fb/parts/%C3%A9', { headers: asReader })).json(), { id: 'a/b', part: 'é' })
  assert.deepEqual(await (await host.fetch('/api/notes/files/a/b.txt')).json(), { path: 'a/b.txt' })
})

test('a path that does not decode to one text is 400 on every route, before authentication', async t => {
  const host = await startHttp(t, [...routes, route('get', '/:a/in/:b', { ...anyone, params: z.object({ a: z.string(), b: z.string() }) }, ctx => ctx.input.params)])
  const broken = ['%E0%A4%A', '%', '%4', '%zz', '%ff', '%c3', '%80', '%c0%af', '%e0%80%af', '%f0%80%80%af', '%ed%a0%80', '%f4%90%80%80', 'a%20%', 'a%00b']
  for (const text of broken) {
    for (const path of [`/${text}`, `/${text}/in/b`, `/a/in/${text}`, `/${text}/nowhere/to/go`]) {
      assert.equal((await host.fetch(`/api/notes${path}`, { headers: asReader })).status, 400, path)
      assert.equal((await host.fetch(`/api/notes${path}`)).status, 400, path)
    }
    assert.equal((await host.fetch(`/${text}`)).status, 400, text)
  }
  assert.deepEqual(await (await host.fetch('/api/notes/%C3%A9%F0%9F%98%80/in/a%2Fb%25')).json(), { a: 'é😀', b: 'a/b%' })
})

test('a query that does not decode to one text is 400', async t => {
  const host = await startHttp(t, [route('get', '/', { ...anyone, query: z.object({ q: z.string() }) }, ctx => ctx.input.query)])
  for (const q of ['%', '100%', '%E0%A4%A', '%ff', '%c0%af', '%ed%a0%80']) assert.equal((await host.fetch(`/api/notes?q=${q}`)).status, 400, q)
  assert.deepEqual(await (await host.fetch('/api/notes?q=100%25+%C3%A9')).json(), { q: '100% é' })
})

test('non-ASCII bytes in a path or query are 400: a handler would get other characters', async t => {
  const host = await startHttp(t, [...routes, route('get', '/q', { ...anyone, query: z.object({ q: z.string() }) }, ctx => ctx.input.query)])
  for (const target of ['/api/notes/é', '/api/notes/q?q=é']) {
    const answer = await sendRaw(host, `GET ${target} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${readerToken}\r\nConnection: close\r\n\r\n`)
    assert.match(answer, /^HTTP\/1\.1 400 /, target)
  }
})

test('/healthz answers without a caller', async t => {
  const host = await startHttp(t, routes)
  assert.deepEqual(await (await host.fetch('/healthz')).json(), { status: 'ok' })
  assert.equal((await host.fetch('/healthz', { method: 'HEAD' })).status, 200)
  const answer = await host.fetch('/healthz', { method: 'POST' })
  assert.equal(answer.status, 405)
  assert.equal(answer.headers.get('allow'), 'GET, HEAD, OPTIONS')
})
