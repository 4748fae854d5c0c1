// Whatever is thrown is answered once, as problem details, and what the caller may not know goes to the log only.

import assert from 'node:assert/strict'
import { get } from 'node:http'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Conflict, NotFound, ServiceUnavailable, TooManyRequests } from '../../../core/contract/index.ts'
import { oddValues } from '../../support/odd-thrown.ts'
import { anyone, route, startHttp, until } from '../fixture.ts'

test('an error of the catalogue is answered as RFC 9457 says', async t => {
  const host = await startHttp(t, [route('get', '/', anyone, () => { throw new NotFound('There is no such note.', { cause: new Error('inside') }) })])
  const answer = await host.fetch('/api/notes', { headers: { 'x-request-id': 'request-1' } })
  assert.equal(answer.status, 404)
  assert.equal(answer.headers.get('content-type'), 'application/problem+json')
  assert.deepEqual(await answer.json(), {
    type: 'urn:bulkhead:problem:not-found', title: 'Not found', status: 404, detail: 'There is no such note.', requestId: 'request-1'
  })
  assert.equal(host.lines.some(({ level }) => level === 'error' || level === 'warn'), false)
})

test('an error says when to try again, and one of 500 or more is logged with its cause', async t => {
  const host = await startHttp(t, [
    route('get', '/many', anyone, async () => { throw new TooManyRequests('Slowly.', { retryAfterMs: 1_500 }) }),
    route('get', '/away', anyone, async () => { throw new ServiceUnavailable('Storage is away.', { cause: new Error('ECONNREFUSED 10.0.0.1') }) })
  ])
  const many = await host.fetch('/api/notes/many')
  assert.deepEqual([many.status, many.headers.get('retry-after')], [429, '2'])
  const away = await host.fetch('/api/notes/away')
  assert.equal(away.status, 503)
  assert.doesNotMatch(await away.text(), /10\.0\.0\.1/)
  const line = host.lines.find(({ level }) => level === 'warn')
  assert.match(String((line?.err as Error).cause), /10\.0\.0\.1/)
})

test('anything else is a 500 that says only where it is logged', async t => {
  const thrown: unknown[] = [null, undefined, 'a secret text', 42, { secret: 1 }, Symbol('secret'), new Error('a secret'), Object.assign(new Error('a secret'), { status: 200 })]
  const host = await startHttp(t, [
    route('get', '/sync/:n', { ...anyone }, ctx => { throw thrown[Number(ctx.path.split('/').at(-1))] }),
    route('get', '/async/:n', { ...anyone }, async ctx => { throw thrown[Number(ctx.path.split('/').at(-1))] })
  ].map(record => ({ ...record, path: record.path.replace('/:n', '') })).flatMap(record => thrown.map((_, at) => ({ ...record, path: `${record.path}/${at}` }))))
  for (const kind of ['sync', 'async']) {
    for (const at of thrown.keys()) {
      host.lines.length = 0
      const answer = await host.fetch(`/api/notes/${kind}/${at}`)
      assert.equal(answer.status, 500, `${kind} ${at}`)
      const text = await answer.text()
      assert.doesNotMatch(text, /secret/)
      const line = host.lines.find(({ level }) => level === 'error')
      assert.ok(line?.err instanceof Error)
      assert.deepEqual([line.plugin, line.route, line.requestId], ['notes', `GET /api/notes/${kind}/${at}`, answer.headers.get('x-request-id')])
    }
  }
})

test('whatever a handler throws is a 500 with a log line, and the next request is answered', async t => {
  const host = await startHttp(t, oddValues.map(([, create], at) => route('get', `/odd/${at}`, anyone, async () => { throw create() })))
  for (const [at, [name]] of oddValues.entries()) {
    assert.equal((await host.fetch(`/api/notes/odd/${at}`)).status, 500, name)
    assert.ok(host.lines.some(line => line.route === `GET /api/notes/odd/${at}` && line.message === 'a request failed'), name)
  }
})

test('ctx.throw with a 4xx is the caller\'s, with a 5xx it is not', async t => {
  const host = await startHttp(t, [
    route('get', '/missing', anyone, ctx => ctx.throw(404, 'no such thing')),
    route('get', '/gone', anyone, ctx => ctx.throw(410, 'it was here')),
    route('get', '/fields', anyone, ctx => ctx.throw(422, 'not so')),
    route('get', '/inside', anyone, ctx => ctx.throw(502, 'a secret'))
  ])
  const see = async (path: string): Promise<unknown> => {
    const { type, title, status, detail } = await (await host.fetch(`/api/notes/${path}`)).json() as Record<string, unknown>
    return { type, title, status, detail }
  }
  assert.deepEqual(await see('missing'), { type: 'urn:bulkhead:problem:not-found', title: 'Not found', status: 404, detail: 'no such thing' })
  assert.deepEqual(await see('gone'), { type: 'about:blank', title: 'Gone', status: 410, detail: 'it was here' })
  assert.deepEqual(await see('fields'), { type: 'urn:bulkhead:problem:validation-failed', title: 'Validation failed', status: 422, detail: 'not so' })
  assert.doesNotMatch(JSON.stringify(await see('inside')), /secret/)
})

test('what a handler had set for its success does not go out with the refusal', async t => {
  const host = await startHttp(t, [route('get', '/', anyone, ctx => {
    ctx.status = 201
    ctx.set('Content-Disposition', 'attachment')
    ctx.body = 'half'
    throw new Conflict('It is there already.')
  })])
  const answer = await host.fetch('/api/notes')
  assert.deepEqual([answer.status, answer.statusText, answer.headers.get('content-disposition')], [409, 'Conflict', null])
  assert.equal((await answer.json() as { detail: string }).detail, 'It is there already.')
})

test('data that cannot be JSON is a logged 500', async t => {
  const circle: Record<string, unknown> = {}
  circle.self = circle
  const host = await startHttp(t, [route('get', '/circle', anyone, () => circle), route('get', '/big', anyone, () => ({ big: 1n }))])
  assert.equal((await host.fetch('/api/notes/circle')).status, 500)
  assert.equal((await host.fetch('/api/notes/big')).status, 500)
  assert.equal(host.lines.filter(({ level }) => level === 'error').length, 2)
})

test('a stream failing half-way breaks the connection and is logged; one failing before is a 500', async t => {
  const failing = (first: string[]): Readable => Readable.from((async function* () { yield* first; await sleep(5); throw new Error('the disk broke') })())
  const host = await startHttp(t, [route('get', '/late', anyone, () => failing(['a', 'b'])), route('get', '/soon', anyone, () => failing([]))])
  await assert.rejects(async () => await (await host.fetch('/api/notes/late')).text())
  await until(() => host.lines.some(({ level, err }) => level === 'error' && (err as Error).message === 'the disk broke'))
  assert.equal((await host.fetch('/api/notes/soon')).status, 500)
  await until(() => host.lines.filter(({ level }) => level === 'error').length === 2)
})

test('a client that goes away aborts the signal and leaves no error in the log', async t => {
  let reason: unknown
  const host = await startHttp(t, [
    route('get', '/wait', anyone, ctx => new Promise((_, reject) => ctx.signal.addEventListener('abort', () => { reason = ctx.signal.reason; reject(new Error('gave up')) }))),
    route('get', '/endless', anyone, () => Readable.from((async function* () { for (;;) { yield 'x'.repeat(65_536); await sleep(1) } })()))
  ])
  for (const path of ['wait', 'endless']) {
    const request = get(`${host.url}/api/notes/${path}`, answer => answer.once('data', () => request.destroy()))
    request.on('error', () => undefined)
    if (path === 'wait') setTimeout(() => request.destroy(), 30)
  }
  await until(() => host.lines.filter(({ message }) => message === 'answered').length === 2)
  await until(() => reason !== undefined)
  await sleep(20)
  assert.match(String(reason), /the client has gone/)
  assert.deepEqual(host.lines.filter(({ level }) => level === 'error' || level === 'warn'), [])
})

test('the log of a request names it, its route and its plugin', async t => {
  const host = await startHttp(t, [route('get', '/', anyone, ctx => { ctx.log.info({ fact: 1 }, 'seen'); return ctx.log === ctx.log })])
  const answer = await host.fetch('/api/notes', { headers: { 'x-request-id': 'request-1' } })
  assert.equal(await answer.text(), 'true')
  assert.deepEqual(host.lines.find(({ message }) => message === 'seen'), { requestId: 'request-1', route: 'GET /api/notes', fact: 1, message: 'seen', level: 'info' })
})
