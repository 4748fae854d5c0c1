// Answers that would lose data, or that break while they are sent: each is a 500 as long as it can be, and a log line that
// names the route and the place.

import assert from 'node:assert/strict'
import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { z } from '../../../core/contract/index.ts'
import { anyone, route, startHttp, until } from '../fixture.ts'

class Empty { get value (): number { return 1 } }
class Full { value = 1 }

const lost: readonly (readonly [name: string, value: () => unknown])[] = [
  ['a Map', () => new Map([['a', 1]])], ['a Set', () => new Set([1])], ['a generator', () => (function* () { yield 1 })()],
  ['an async generator', () => (async function* () { yield 1 })()], ['an Error', () => Object.assign(new Error('x'), { extra: 1 })],
  ['a promise', async () => 1], ['NaN', () => NaN], ['Infinity', () => -Infinity], ['a BigInt', () => 1n], ['a function', () => () => 1],
  ['a Symbol', () => Symbol('x')], ['an invalid Date', () => new Date(NaN)], ['an object whose toJSON throws', () => ({ toJSON () { throw new Error('no') } })],
  ['a RegExp', () => /x/], ['a WeakMap', () => new WeakMap()], ['an instance without fields', () => new Empty()], ['an iterator', () => [1].values()],
  ['a thenable', () => ({ then: () => 1 })]
]

test('a value that JSON cannot hold is a 500 whose log line names the route and the field', async t => {
  const inField = [...lost, ['bytes', () => new Uint8Array(3)], ['a Buffer', () => Buffer.from('abc')], ['an ArrayBuffer', () => new ArrayBuffer(2)]] as const
  const host = await startHttp(t, inField.flatMap(([, value], at) => [
    route('get', `/field/${at}`, anyone, () => ({ list: [{ ok: 1 }, { field: value() }] })),
    route('get', `/context/${at}`, anyone, ctx => { ctx.body = { list: [{ ok: 1 }, { field: value() }] } }),
    route('get', `/schema/${at}`, { ...anyone, returns: z.object({ list: z.array(z.any()) }) }, () => ({ list: [{ ok: 1 }, { field: value() }] }))
  ]))
  for (const [at, [name]] of inField.entries()) {
    for (const path of ['field', 'context', 'schema']) {
      assert.equal((await host.fetch(`/api/notes/${path}/${at}`)).status, 500, `${path} ${name}`)
      const line = host.lines.find(({ route, level }) => route === `GET /api/notes/${path}/${at}` && level === 'error')
      // JSON.stringify itself refuses these two.
      if (!/BigInt|toJSON/.test(name)) assert.match((line?.err as Error).message, new RegExp(`^GET /api/notes/${path}/${at} answers data that would be lost: list\\.1\\.field(\\.then)? is `), name)
    }
  }
})

test('such a value as the whole body is a 500, but bytes are sent as bytes', async t => {
  // A promise is awaited.
  const whole = lost.filter(([name]) => name !== 'a promise' && name !== 'a thenable')
  const host = await startHttp(t, [
    ...whole.map(([, value], at) => route('get', `/${at}`, anyone, value)),
    route('get', '/bytes', anyone, () => new Uint8Array([1, 2, 255])), route('get', '/words', anyone, () => new Uint16Array([1, 2]).subarray(1)),
    route('get', '/buffer', anyone, () => new Uint8Array([7, 8]).buffer)
  ])
  for (const [at, [name]] of whole.entries()) assert.equal((await host.fetch(`/api/notes/${at}`)).status, 500, name)
  const read = async (path: string) => {
    const answer = await host.fetch(`/api/notes/${path}`)
    return [answer.headers.get('content-type'), ...await answer.bytes()]
  }
  assert.deepEqual(await read('bytes'), ['application/octet-stream', 1, 2, 255])
  assert.deepEqual(await read('words'), ['application/octet-stream', 2, 0])
  assert.deepEqual(await read('buffer'), ['application/octet-stream', 7, 8])
})

test('data that JSON holds is sent: instances with fields, dates, nested null, objects with toJSON', async t => {
  const value = { full: new Full(), at: new Date(0), none: null, left: undefined, own: { toJSON: () => 'own' }, url: new URL('http://a/'), empty: {}, list: [] }
  const host = await startHttp(t, [route('get', '/', anyone, () => value), route('get', '/null', { ...anyone, returns: z.null() }, () => null)])
  assert.deepEqual(await (await host.fetch('/api/notes')).json(), JSON.parse(JSON.stringify(value)))
  assert.equal(await (await host.fetch('/api/notes/null')).text(), 'null')
})

test('a body with a status that has none is a 500', async t => {
  const host = await startHttp(t, [
    route('get', '/declared', { ...anyone, status: 204 }, () => ({ lost: 1 })), route('get', '/text', { ...anyone, status: 204 }, () => 'lost'),
    route('get', '/set', anyone, ctx => { ctx.status = 204; return { lost: 1 } }), route('get', '/body', anyone, ctx => { ctx.status = 204; ctx.body = 'lost' }),
    route('get', '/none', { ...anyone, status: 204 }, () => undefined)
  ])
  for (const path of ['declared', 'text', 'set', 'body']) assert.equal((await host.fetch(`/api/notes/${path}`)).status, 500, path)
  assert.equal((await host.fetch('/api/notes/none')).status, 204)
})

/** Each breaks after it has sent `first`. */
const breaking: readonly (readonly [name: string, create: (first: string[]) => unknown])[] = [
  ['a stream of objects', first => Readable.from([...first, { a: 1 }])],
  ['an async generator in a stream', first => Readable.from((async function* () { yield* first; throw new Error('broken') })())],
  ['a web stream that errors', first => new ReadableStream({ start (controller) { for (const text of first) controller.enqueue(Buffer.from(text)) }, pull (controller) { controller.error(new Error('broken')) } })],
  ['a web stream of objects', first => new ReadableStream({ start (controller) { for (const chunk of [...first, { a: 1 }]) controller.enqueue(chunk); controller.close() } })],
  ['a Response with a broken body', first => new Response(Readable.toWeb(Readable.from([...first.map(text => Buffer.from(text)), 7], { objectMode: true })))],
  ['a stream that is destroyed', first => { const left = [...first]; return new Readable({ read () { const next = left.shift(); if (next === undefined) this.destroy(); else this.push(next) } }) }],
  ['a web stream that is locked', () => { const stream = new ReadableStream(); stream.getReader(); return stream }],
  ['a file that is not there', () => createReadStream('/nowhere/to/be/found')],
  ['a stream that was destroyed', () => { const stream = Readable.from(['a']); stream.destroy(); return stream }]
]

test('a stream that breaks is logged with its route, and is a 500 while it still can be', async t => {
  const host = await startHttp(t, breaking.flatMap(([, create], at) => [
    route('get', `/soon/${at}`, anyone, () => create([])), route('get', `/late/${at}`, anyone, () => create(['first', 'second']))
  ]))
  const isLogged = (path: string): boolean => host.lines.some(({ level, route, err }) => level === 'error' && route === `GET /api/notes/${path}` && err instanceof Error)
  for (const [at, [name]] of breaking.entries()) {
    assert.equal((await host.fetch(`/api/notes/soon/${at}`)).status, 500, name)
    assert.ok(isLogged(`soon/${at}`), name)
    await host.fetch(`/api/notes/late/${at}`).then(async answer => { assert.equal(answer.status === 500 || (await answer.text()) === 'never', true) }, () => undefined).catch(() => undefined)
    await until(() => isLogged(`late/${at}`))
  }
})
