// Refused requests are noted for the audit log: with who asked, what for, and from where.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Forbidden, NotFound, Unauthorized, z } from '../../../core/contract/index.ts'
import { anyone, asReader, asWriter, readerToken, route, startHttp } from '../fixture.ts'

const projectId = '0192f0c1-2a3b-7c4d-8e5f-60718293a4b5'
const routes = [
  route('get', '/', { permission: 'note:read' }, () => []),
  route('post', '/', { permission: 'note:write' }, () => []),
  route('get', '/gone', anyone, () => { throw new NotFound('There is no such note.') }),
  route('get', '/theirs', anyone, () => { throw new Forbidden('It is not yours.') }),
  route('get', '/late', anyone, () => { throw new Unauthorized('The password is wrong.') }),
  route('get', '/in/:projectId', { permission: 'note:read', project: 'params.projectId', params: z.object({ projectId: z.uuid() }) }, () => [])
]

test('a refusal says who asked, what for, why not and from where', async t => {
  const host = await startHttp(t, routes, { settings: { trustProxyHops: 1 } })
  const headers = { ...asReader, 'x-request-id': 'from-the-caller', 'x-forwarded-for': '6.6.6.6, 203.0.113.9' }
  assert.equal((await host.fetch('/api/notes?secret=x', { method: 'POST', headers })).status, 403)
  assert.deepEqual(host.refusals, [{
    by: 'reader', plugin: 'notes', method: 'POST', route: '/api/notes', status: 403, reason: 'This needs the permission "note:write".',
    requestId: 'from-the-caller', address: '203.0.113.9', projectId: undefined
  }])
})

test('a bad credential, a missing CSRF proof, a hidden project and a handler\'s 403 are noted', async t => {
  const host = await startHttp(t, routes, { permissionsIn: () => new Set() })
  const see = async (path: string, init: RequestInit): Promise<unknown> => {
    const { status } = await host.fetch(path, init)
    const { by, status: noted, projectId, route } = host.refusals.pop() ?? {}
    assert.equal(noted, status)
    return [status, by, route, projectId]
  }
  assert.deepEqual(await see('/api/notes', { headers: { authorization: 'Bearer unknown' } }), [401, undefined, '/api/notes', undefined])
  assert.deepEqual(await see('/api/notes', { headers: { authorization: 'Basic YTpi' } }), [401, undefined, '/api/notes', undefined])
  assert.deepEqual(await see('/api/notes', { headers: { cookie: 'session=old' } }), [401, undefined, '/api/notes', undefined])
  assert.deepEqual(await see('/api/notes', { method: 'POST', headers: { cookie: `session=${readerToken}` } }), [403, 'reader', '/api/notes', undefined])
  assert.deepEqual(await see(`/api/notes/in/${projectId}`, { headers: asReader }), [404, 'reader', '/api/notes/in/:projectId', projectId])
  assert.deepEqual(await see('/api/notes/theirs', { headers: asWriter }), [403, 'writer', '/api/notes/theirs', undefined])
})

test('anonymous calls, unknown paths and methods, and a handler\'s own 401 and 404 are not noted', async t => {
  const host = await startHttp(t, routes)
  const asked: [string, RequestInit, number][] = [
    ['/api/notes', {}, 401], ['/api/notes', { headers: { cookie: 'theme=dark' } }, 401], ['/api/NOTES', { headers: asReader }, 404],
    ['/api/notes', { method: 'DELETE', headers: asReader }, 405], ['/api/notes/gone', { headers: asReader }, 404], ['/api/notes/late', { headers: asReader }, 401]
  ]
  for (const [path, init, status] of asked) assert.equal((await host.fetch(path, init)).status, status, path)
  assert.deepEqual(host.refusals, [])
})
