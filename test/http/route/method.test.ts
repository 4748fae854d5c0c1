// Methods a path does not answer, and what OPTIONS says.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from '../../../core/contract/index.ts'
import { anyone, asReader, route, sendRaw, startHttp } from '../fixture.ts'

const params = z.object({ id: z.string() })
const routes = [
  route('get', '/', { permission: 'note:read' }, () => []),
  route('post', '/', { permission: 'note:write' }, () => ({})),
  route('get', '/archive', anyone, () => []),
  route('delete', '/:id', { permission: 'note:write', params }, () => undefined)
]

test('a method the path does not answer is 405 with Allow, also one that koa does not know', async t => {
  const host = await startHttp(t, routes)
  for (const method of ['PUT', 'PATCH', 'DELETE', 'PROPFIND', 'PURGE', 'TRACE']) {
    const answer = await sendRaw(host, `${method} /api/notes HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
    assert.match(answer, /^HTTP\/1\.1 405 /, method)
    assert.match(answer, /^Allow: GET, HEAD, OPTIONS, POST\r$/m, method)
  }
})

test('a method that no parser knows is 400', async t => {
  const host = await startHttp(t, routes)
  assert.match(await sendRaw(host, 'BREW /api/notes HTTP/1.1\r\nHost: a\r\n\r\n'), /^HTTP\/1\.1 400 /)
})

test('a method of another route with the same path is found', async t => {
  const host = await startHttp(t, routes)
  assert.equal((await host.fetch('/api/notes/archive', { method: 'DELETE' })).status, 401)
  assert.equal((await host.fetch('/api/notes/archive', { method: 'POST', headers: asReader })).headers.get('allow'), 'DELETE, GET, HEAD, OPTIONS')
})

test('OPTIONS answers 204 with Allow, nothing about origins, and 404 where there is nothing', async t => {
  const host = await startHttp(t, routes)
  const answer = await host.fetch('/api/notes', { method: 'OPTIONS', headers: { origin: 'https://elsewhere.example', 'access-control-request-method': 'POST' } })
  assert.equal(answer.status, 204)
  assert.equal(answer.headers.get('allow'), 'GET, HEAD, OPTIONS, POST')
  assert.deepEqual([...answer.headers.keys()].filter(name => name.startsWith('access-control-') || name === 'vary'), [])
  assert.equal((await host.fetch('/api/none', { method: 'OPTIONS' })).status, 404)
})
