// A plugin's routes come, go and are replaced in one step.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMemoryLog, anyone, plugin, route, startHttp } from '../fixture.ts'
import type { Running } from '../fixture.ts'

const answering = (text: string, mount = 'notes') => [route('get', '/', anyone, () => text, mount), route('get', '/more', anyone, () => text, mount)]
const see = async (host: Running, path = '/api/notes'): Promise<unknown> => {
  const answer = await host.fetch(path)
  return answer.ok ? await answer.text() : answer.status
}

test('undoing a mount takes its routes away, and only its own', async t => {
  const host = await startHttp(t, answering('first'))
  const undo = host.http.mount(plugin('other', answering('other', 'other')))
  assert.equal(await see(host, '/api/other'), 'other')
  await undo()
  assert.equal(await see(host, '/api/other'), 404)
  assert.equal(await see(host), 'first')
  await undo()
})

test('a new generation replaces the old one whole, and the old one\'s undo does not touch it', async t => {
  const host = await startHttp(t, answering('zero'))
  const undoFirst = host.http.mount(plugin('two', [...answering('first', 'a'), ...answering('first', 'b')], { mounts: ['a', 'b'] }))
  const undoSecond = host.http.mount(plugin('two', answering('second', 'b'), { mounts: ['b'] }))
  assert.deepEqual([await see(host, '/api/a'), await see(host, '/api/b')], [404, 'second'])
  await undoFirst()
  assert.equal(await see(host, '/api/b'), 'second')
  await undoSecond()
  assert.equal(await see(host, '/api/b'), 404)
})

test('a request that began under the old generation is finished by it', async t => {
  let release = (): void => undefined
  let begun = (): void => undefined
  const inHandler = new Promise<void>(resolve => { begun = resolve })
  const host = await startHttp(t, [route('get', '/', anyone, () => new Promise(resolve => { release = () => resolve('old'); begun() }))])
  const under = see(host)
  await inHandler
  host.http.mount(plugin('notes', answering('new')))
  assert.equal(await see(host), 'new')
  release()
  assert.equal(await under, 'old')
})

test('a held plugin\'s paths answer 503 with the reason until it is mounted or the hold is undone', async t => {
  const host = await startHttp(t, answering('first'))
  const undoHold = host.http.hold({ id: 'notes', mounts: ['notes'], reason: 'notes waits for Kubernetes.', retryAfterMs: () => 5_000 })
  const answer = await host.fetch('/api/notes/any/path')
  assert.deepEqual([answer.status, answer.headers.get('retry-after'), answer.headers.get('content-type')], [503, '5', 'application/problem+json'])
  assert.equal((await answer.json() as { detail: string }).detail, 'notes waits for Kubernetes.')
  const undoMount = host.http.mount(plugin('notes', answering('again')))
  undoHold()
  assert.equal(await see(host), 'again')
  await undoMount()
  host.http.hold({ id: 'notes', mounts: ['notes'], reason: 'It failed.' })()
  assert.equal(await see(host), 404)
})

test('a mount belongs to one plugin, and a refused plugin changes nothing', async t => {
  const host = await startHttp(t, answering('first'))
  assert.throws(() => host.http.mount(plugin('thief', answering('stolen'), { mounts: ['thief', 'notes'] })), /The mount "notes" belongs to plugin "notes"/)
  assert.throws(() => host.http.hold({ id: 'thief', mounts: ['notes'], reason: 'x' }), /belongs to plugin "notes"/)
  assert.throws(() => host.http.mount(plugin('stray', answering('x', 'elsewhere'))), /for the mount "elsewhere", which the plugin does not have/)
  assert.throws(() => host.http.mount(plugin('notes', [route('get', 'bare', anyone, () => 1)])), { code: 'BULKHEAD_INVALID_ROUTES', message: /GET bare has a path that does not begin with "\/"/ })
  assert.deepEqual([await see(host), await see(host, '/api/thief')], ['first', 404])
})

test('a plugin with several mounts serves each apart', async t => {
  const host = await startHttp(t, answering('zero'))
  host.http.mount(plugin('identity', [...answering('users', 'users'), route('get', '/only', anyone, () => 'tokens', 'tokens')], { mounts: ['users', 'tokens'] }))
  assert.deepEqual([await see(host, '/api/users'), await see(host, '/api/tokens/only'), await see(host, '/api/users/only')], ['users', 'tokens', 404])
})

test('an unknown plugin id is no key of anything else', async t => {
  const host = await startHttp(t, answering('zero'), { middleware: [] })
  for (const name of ['constructor', '__proto__', 'toString']) assert.equal(await see(host, `/api/${name}`), 404)
  assert.deepEqual(createMemoryLog().lines, [])
})

test('undoing a mount waits for the answers to its requests, and refuses what takes too long', async t => {
  let release = (): void => undefined
  let begun = Promise.withResolvers<undefined>()
  const slow = route('get', '/slow', anyone, () => new Promise(resolve => { release = () => resolve('old'); begun.resolve(undefined) }))
  const host = await startHttp(t, answering('first'), { settings: { drainMs: 200 } })
  const undoFirst = host.http.mount(plugin('notes', [...answering('old'), slow]))
  const under = see(host, '/api/notes/slow')
  await begun.promise
  const undoSecond = host.http.mount(plugin('notes', [...answering('new'), slow]))
  let isOver = false
  const over = undoFirst().then(() => { isOver = true })
  assert.equal(await see(host), 'new')
  assert.equal(isOver, false)
  release()
  assert.equal(await under, 'old')
  await over

  begun = Promise.withResolvers()
  const late = host.fetch('/api/notes/slow')
  await begun.promise
  await undoSecond()
  const refused = await late
  assert.deepEqual([refused.status, refused.headers.get('retry-after')], [503, '1'])
  assert.equal((await refused.json() as { detail: string }).detail, 'The plugin "notes" ended before this request did.')
})

test('a suspended plugin stays suspended across mounts, and a released path has no owner', async t => {
  const host = await startHttp(t, answering('first'))
  host.http.suspend('notes', 'The database does not answer.')
  host.http.mount(plugin('notes', answering('second')))
  const answer = await host.fetch('/api/notes')
  assert.deepEqual([answer.status, answer.headers.get('retry-after')], [503, '1'])
  assert.equal((await answer.json() as { detail: string }).detail, 'The database does not answer.')
  host.http.suspend('notes', undefined)
  assert.equal(await see(host), 'second')
  host.http.release('notes')
  assert.equal(await see(host), 404)
  host.http.mount(plugin('other', answering('other'), { mounts: ['notes'] }))
  assert.equal(await see(host), 'other')
})
