// What one plugin holds of another: always the generation that serves.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { currentOwner } from '../../../core/plugin-runtime/index.ts'
import { Fence } from '../../../core/plugin-runtime/ownership/fence.ts'
import { createServiceHandle, isFollowed, type Offer } from '../../../core/plugin-runtime/scope/service-handle.ts'
import { createOwner } from '../fixture.ts'

interface Made<T> {
  handle: T
  fence: Fence
  /** Another generation serves from now on, or none. */
  serve (service?: unknown): void
}

function hold<T extends object> (service: T): Made<T> {
  const fence = new Fence('invoices')
  let generation = 0
  let offer: Offer | undefined
  const serve = (next?: unknown): void => {
    offer = next === undefined ? undefined : { service: next, version: '1.0.0', owner: createOwner('ledger', generation += 1) }
  }
  serve(service)
  return { handle: createServiceHandle({ fence, holder: createOwner('invoices'), provider: 'ledger', find: () => offer }, typeof service === 'function') as T, fence, serve }
}

class Ledger {
  readonly #entries: string[]
  constructor (...entries: string[]) { this.#entries = entries }
  get size (): number { return this.#entries.length }
  list (): string[] { return [...this.#entries] }
}

test('methods, properties and what was taken apart lead to the generation that serves', () => {
  const { handle, serve } = hold(new Ledger('first'))
  const { list } = handle
  assert.deepEqual([handle.list(), list(), handle.size, handle instanceof Ledger], [['first'], ['first'], 1, true])
  serve(new Ledger('second', 'third'))
  assert.deepEqual([handle.list(), list(), handle.size], [['second', 'third'], ['second', 'third'], 2])
  assert.equal(handle.list, list, 'the same function each time')
})

test('a service that is a function is called, classes in it are made, and a Map is a Map', () => {
  const { handle: add, serve } = hold((a: number, b: number) => a + b)
  assert.equal(add(1, 2), 3)
  serve((a: number, b: number) => a * b)
  assert.equal(add(3, 4), 12)

  const { handle: classes } = hold({ Ledger })
  assert.ok(new classes.Ledger('made') instanceof Ledger)
  const { handle: map } = hold(new Map([['a', 1]]))
  assert.deepEqual([map.get('a'), map.size], [1, 1])
})

test('it looks like the object it stands for', () => {
  const { handle, serve } = hold<Record<string, unknown>>({ label: 'one', list: () => [1] })
  assert.deepEqual([Object.keys(handle), 'label' in handle, 'other' in handle, JSON.stringify(handle)], [['label', 'list'], true, false, '{"label":"one"}'])
  assert.deepEqual({ ...handle }.label, 'one')
  serve({ other: 2 })
  assert.deepEqual([Object.keys(handle), 'label' in handle], [['other'], false])
})

test('while nobody serves, and once its holder has ended, it throws', () => {
  const { handle, serve, fence } = hold({ list: () => [1] })
  const { list } = handle
  serve()
  assert.throws(() => list(), { code: 'BULKHEAD_SERVICE_UNAVAILABLE', message: 'The plugin "ledger" is not running.' })
  assert.throws(() => handle.list, { code: 'BULKHEAD_SERVICE_UNAVAILABLE' })
  serve({ list: () => [2] })
  assert.deepEqual(list(), [2])
  fence.end(new Error('it stopped'))
  assert.throws(() => list(), { code: 'BULKHEAD_SCOPE_ENDED' })
})

test('what a service does is done as its own plugin', async () => {
  const { handle } = hold({ whose: () => currentOwner()?.plugin, later: async () => { await Promise.resolve(); return currentOwner()?.plugin } })
  assert.deepEqual([handle.whose(), await handle.later(), currentOwner()], ['ledger', 'ledger', undefined])
})

test('data is handed out as it is', () => {
  assert.deepEqual([{}, () => 1, new Map(), Ledger, [1], 'text', 1, null, undefined].map(isFollowed), [true, true, true, false, false, false, false, false, false])
})
