// What a handler returns or sets is what goes out.

import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { z } from '../../../core/contract/index.ts'
import { anyone, route, startHttp, until } from '../fixture.ts'

const Note = z.object({ id: z.number(), title: z.string() })

test('a returned value is the body: data as JSON, text as text, bytes and streams as they are', async t => {
  const host = await startHttp(t, [
    route('get', '/object', anyone, () => ({ a: 1 })),
    route('get', '/list', anyone, async () => [1, 2]),
    route('get', '/text', anyone, () => 'pong'),
    route('get', '/bytes', anyone, () => Buffer.from('abc')),
    route('get', '/stream', anyone, () => Readable.from(['a', 'b', 'c'])),
    route('get', '/class', anyone, () => new URL('https://example.org/'))
  ])
  const see = async (path: string): Promise<unknown[]> => {
    const answer = await host.fetch(`/api/notes/${path}`)
    return [answer.status, answer.headers.get('content-type'), await answer.text()]
  }
  assert.deepEqual(await see('object'), [200, 'application/json; charset=utf-8', '{"a":1}'])
  assert.deepEqual(await see('list'), [200, 'application/json; charset=utf-8', '[1,2]'])
  assert.deepEqual(await see('text'), [200, 'text/plain; charset=utf-8', 'pong'])
  assert.deepEqual(await see('bytes'), [200, 'application/octet-stream', 'abc'])
  assert.deepEqual(await see('stream'), [200, 'application/octet-stream', 'abc'])
  assert.deepEqual(await see('class'), [200, 'application/json; charset=utf-8', '"https://example.org/"'])
})

test('nothing returned is 204, unless the route or the handler says another status', async t => {
  const host = await startHttp(t, [
    route('get', '/nothing', anyone, () => undefined),
    route('get', '/null', anyone, () => null),
    route('post', '/created', { ...anyone, status: 201 }, () => ({ id: 1 })),
    route('post', '/accepted', { ...anyone, status: 202 }, ctx => { ctx.body = { later: true } }),
    route('get', '/moved', { ...anyone, returns: Note }, ctx => { ctx.redirect('/elsewhere'); return undefined as never }),
    route('get', '/teapot', anyone, ctx => { ctx.status = 418; return { short: true } })
  ])
  const status = async (method: string, path: string): Promise<number> => (await host.fetch(`/api/notes/${path}`, { method, redirect: 'manual' })).status
  assert.equal(await status('GET', 'nothing'), 204)
  assert.equal(await status('GET', 'null'), 204)
  assert.equal(await status('POST', 'created'), 201)
  assert.equal(await status('POST', 'accepted'), 202)
  assert.equal(await status('GET', 'moved'), 302)
  assert.equal(await status('GET', 'teapot'), 418)
})

test('an answer with returns is checked, is always JSON, and holds only fields of the schema', async t => {
  const host = await startHttp(t, [
    route('get', '/one', { ...anyone, returns: Note }, () => ({ id: 1, title: 'A', secret: 'x' })),
    route('get', '/set', { ...anyone, returns: Note }, ctx => { ctx.body = { id: 2, title: 'B', secret: 'x' }; return undefined as never }),
    route('get', '/text', { ...anyone, returns: z.string() }, () => 'pong'),
    route('get', '/null', { ...anyone, returns: Note.nullable() }, () => null),
    route('get', '/date', { ...anyone, returns: z.date().transform(date => date.getUTCFullYear()) }, () => new Date(0)),
    route('get', '/void', { ...anyone, returns: z.undefined() }, () => undefined)
  ])
  const see = async (path: string): Promise<unknown[]> => {
    const answer = await host.fetch(`/api/notes/${path}`)
    return [answer.headers.get('content-type')?.split(';')[0], await answer.text()]
  }
  assert.deepEqual(await see('one'), ['application/json', '{"id":1,"title":"A"}'])
  assert.deepEqual(await see('set'), ['application/json', '{"id":2,"title":"B"}'])
  assert.deepEqual(await see('text'), ['application/json', '"pong"'])
  assert.deepEqual(await see('null'), ['application/json', 'null'])
  assert.deepEqual(await see('date'), ['application/json', '1970'])
  assert.equal((await host.fetch('/api/notes/void')).status, 204)
})

test('an answer that does not fit returns is not sent but a 500, and the log says what misfits', async t => {
  const host = await startHttp(t, [route('get', '/', { ...anyone, returns: Note }, () => ({ id: 'secret', title: 1 }) as never)])
  const answer = await host.fetch('/api/notes')
  assert.equal(answer.status, 500)
  assert.doesNotMatch(await answer.text(), /secret|expected/)
  const line = host.lines.find(({ level }) => level === 'error')
  assert.match(String(line?.err), /GET \/api\/notes answered a value that does not match.*id: .*expected number.*title: .*expected string/)
  assert.equal(line?.plugin, 'notes')
})

test('koa\'s own ways work: ctx.set, ctx.cookies, ctx.type, ctx.respond', async t => {
  const host = await startHttp(t, [
    route('get', '/set', anyone, ctx => { ctx.set('X-Own', 'yes'); ctx.set('Cache-Control', 'private'); ctx.cookies.set('a', 'b'); return { a: 1 } }),
    route('get', '/csv', anyone, ctx => { ctx.type = 'text/csv'; ctx.body = 'a,b' }),
    route('get', '/own', anyone, ctx => { ctx.respond = false; ctx.res.end('own') }),
    route('get', '/state', anyone, ctx => ({ path: ctx.path, query: ctx.query.q, method: ctx.method, agent: ctx.get('user-agent') }))
  ])
  const set = await host.fetch('/api/notes/set')
  assert.deepEqual([set.headers.get('x-own'), set.headers.get('cache-control'), set.headers.get('set-cookie')], ['yes', 'private', 'a=b; path=/; httponly'])
  const csv = await host.fetch('/api/notes/csv')
  assert.deepEqual([csv.headers.get('content-type'), await csv.text()], ['text/csv; charset=utf-8', 'a,b'])
  const own = await host.fetch('/api/notes/own')
  assert.deepEqual([await own.text(), own.headers.get('x-content-type-options')], ['own', 'nosniff'])
  assert.deepEqual(await (await host.fetch('/api/notes/state?q=1', { headers: { 'user-agent': 'me' } })).json(), { path: '/api/notes/state', query: '1', method: 'GET', agent: 'me' })
})

test('every answer carries the security headers and a request id, the caller\'s own if it is sane', async t => {
  const host = await startHttp(t, [route('get', '/', anyone, ctx => ({ id: ctx.requestId })), route('get', '/text', anyone, () => 'a')])
  for (const path of ['/api/notes', '/api/notes/text', '/api/none', '/healthz']) {
    const { headers } = await host.fetch(path, { headers: { 'x-request-id': 'from-the-caller' } })
    assert.deepEqual([headers.get('x-request-id'), headers.get('x-content-type-options'), headers.get('cache-control')], ['from-the-caller', 'nosniff', 'no-store'], path)
  }
  for (const bad of ['short', 'a'.repeat(65), 'with space', 'x"><script>']) {
    const answer = await host.fetch('/api/notes', { headers: { 'x-request-id': bad } })
    assert.match(answer.headers.get('x-request-id') ?? '', /^[\w-]{8,64}$/)
    assert.notEqual(answer.headers.get('x-request-id'), bad)
    assert.deepEqual(await answer.json(), { id: answer.headers.get('x-request-id') })
  }
})

test('each request is an info line with its route, and one to /healthz a debug line', async t => {
  const host = await startHttp(t, [route('get', '/', anyone, () => []), route('get', '/bad', anyone, () => { throw new Error('inside') })])
  await host.fetch('/api/notes?a=1')
  await host.fetch('/api/notes/bad')
  await host.fetch('/healthz')
  const answered = () => host.lines.filter(({ message }) => message === 'answered')
  await until(() => answered().length === 3)
  assert.deepEqual(answered().map(({ level, method, route, path, status }) => [level, method, route ?? path, status]), [
    ['info', 'GET', '/api/notes', 200], ['info', 'GET', '/api/notes/bad', 500], ['debug', 'GET', '/healthz', 200]
  ])
})
