// A plugin's own Koa middleware runs around its handlers, after the guard.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from '../../core/contract/index.ts'
import { anyone, asReader, plugin, route, startHttp } from './fixture.ts'

test('middleware sees the request before and the answer after, and may change it', async t => {
  const host = await startHttp(t, [route('get', '/', anyone, () => ({ a: 1 })), route('post', '/', { ...anyone, status: 201, returns: z.object({ a: z.number() }) }, () => ({ a: 1, b: 2 }))], {
    middleware: [
      async (ctx, next) => { await next(); ctx.body = { ...ctx.body as object, status: ctx.status } },
      async (ctx, next) => { ctx.set('X-Before', 'yes'); await next() }
    ]
  })
  const got = await host.fetch('/api/notes')
  assert.equal(got.headers.get('x-before'), 'yes')
  assert.deepEqual(await got.json(), { a: 1, status: 200 })
  const posted = await host.fetch('/api/notes', { method: 'POST' })
  assert.equal(posted.status, 201)
  assert.deepEqual(await posted.json(), { a: 1, status: 201 })
})

test('middleware may answer by itself, and one that does nothing is koa\'s 404', async t => {
  const host = await startHttp(t, [route('get', '/', anyone, () => ({ a: 1 }))], {
    middleware: [async (ctx, next) => {
      if (ctx.query.stop === 'said') { ctx.status = 429; ctx.body = { slow: 'down' }; return }
      if (ctx.query.stop === undefined) await next()
    }]
  })
  assert.deepEqual(await (await host.fetch('/api/notes')).json(), { a: 1 })
  assert.equal((await host.fetch('/api/notes?stop=said')).status, 429)
  assert.equal((await host.fetch('/api/notes?stop=silent')).status, 404)
})

test('middleware runs after the guard, knows the caller, and is its own plugin\'s only', async t => {
  const seen: (string | undefined)[] = []
  const host = await startHttp(t, [route('get', '/', { permission: 'note:read' }, () => ({}))], {
    middleware: [async (ctx, next) => { seen.push((ctx as unknown as { user?: { name: string } }).user?.name); await next() }]
  })
  host.http.mount(plugin('other', [route('get', '/', anyone, () => ({}), 'other')]))
  assert.equal((await host.fetch('/api/notes')).status, 401)
  assert.equal((await host.fetch('/api/other')).status, 200)
  assert.equal((await host.fetch('/api/notes', { headers: asReader })).status, 200)
  assert.deepEqual(seen, ['reader'])
})

test('an error of a handler can be caught by middleware, and one of middleware is answered', async t => {
  const host = await startHttp(t, [route('get', '/', anyone, () => { throw new Error('inside') })], {
    middleware: [async (ctx, next) => { try { await next() } catch { ctx.body = { caught: true } } }, async (ctx, next) => { if (ctx.query.bad !== undefined) throw new TypeError('mine'); await next() }]
  })
  assert.deepEqual(await (await host.fetch('/api/notes')).json(), { caught: true })
  assert.deepEqual(await (await host.fetch('/api/notes?bad')).json(), { caught: true })
})
