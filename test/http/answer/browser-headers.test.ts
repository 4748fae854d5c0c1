// What every answer tells a browser, and that a handler may say otherwise.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Forbidden } from '../../../core/contract/index.ts'
import { anyone, asReader, route, startHttp } from '../fixture.ts'

const expected = {
  'content-security-policy': 'default-src \'self\';object-src \'none\';base-uri \'none\';form-action \'self\';frame-ancestors \'none\'',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'cache-control': 'no-store'
}
const routes = [
  route('get', '/', { permission: 'note:read' }, () => ({ a: 1 })),
  route('get', '/page', anyone, ctx => { ctx.type = 'html'; ctx.body = '<p>' }),
  route('get', '/own', anyone, ctx => { ctx.set('Content-Security-Policy', 'sandbox'); ctx.set('Cache-Control', 'max-age=60'); return { a: 1 } }),
  route('get', '/no', anyone, ctx => { ctx.set('Content-Security-Policy', 'sandbox'); throw new Forbidden('No.') }),
  route('get', '/broken', anyone, () => { throw new Error('inside') })
]

test('every answer has the headers: JSON, pages, refusals, faults, 404s, preflights and health', async t => {
  const host = await startHttp(t, routes, { settings: { corsOrigins: ['https://friend.example'] } })
  const seen = async (path: string, init: RequestInit = {}): Promise<object> => {
    const { headers } = await host.fetch(path, init)
    return Object.fromEntries(Object.keys(expected).map(name => [name, headers.get(name)]))
  }
  for (const path of ['/api/notes', '/api/notes/page', '/api/notes/no', '/api/notes/broken', '/api/nothing', '/', '/healthz']) {
    assert.deepEqual(await seen(path), expected, path)
  }
  assert.deepEqual(await seen('/api/notes', { headers: asReader }), expected)
  assert.deepEqual(await seen('/api/notes', { method: 'HEAD', headers: asReader }), expected)
  assert.deepEqual(await seen('/api/notes', { method: 'OPTIONS' }), expected)
})

test('also where no origin is configured, which is the short way to answer', async t => {
  const host = await startHttp(t, routes)
  const { headers } = await host.fetch('/api/notes', { headers: asReader })
  for (const [name, value] of Object.entries(expected)) assert.equal(headers.get(name), value, name)
  assert.equal(headers.get('content-length'), '7')
  assert.equal(headers.get('x-powered-by'), null)
})

test('a handler\'s own header stays, and goes with a refusal', async t => {
  const host = await startHttp(t, routes)
  const own = await host.fetch('/api/notes/own')
  assert.deepEqual([own.headers.get('content-security-policy'), own.headers.get('cache-control')], ['sandbox', 'max-age=60'])
  assert.equal((await host.fetch('/api/notes/no')).headers.get('content-security-policy'), expected['content-security-policy'])
})

test('where the site is https, browsers are told to come back that way, and nowhere else', async t => {
  const [open, secure] = [await startHttp(t, routes), await startHttp(t, routes, { settings: { secureCookies: true } })]
  assert.equal((await open.fetch('/healthz')).headers.get('strict-transport-security'), null)
  assert.equal((await secure.fetch('/healthz')).headers.get('strict-transport-security'), 'max-age=31536000')
})
