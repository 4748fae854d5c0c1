// What every Valkey of the host does, the real one and the in-process one: one suite for both.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { ServiceUnavailable, z } from '../../../core/contract/index.ts'
import type { Valkey } from '../../../core/contract/index.ts'
import type { OpenParts, Resource } from '../../../core/handover/resource.ts'
import type { ValkeyClient } from '../../../core/resources/valkey/valkey-client.ts'
import { createLog, openParts } from '../../support/part.ts'
import { until } from '../../support/until.ts'

type Open = (parts: OpenParts) => Promise<Resource<ValkeyClient>>

const Point = z.object({ x: z.number(), label: z.string() })
const ttlMs = 60_000

export function behavesLikeValkey (name: string, open: Open): void {
  const it = (fact: string, body: (t: TestContext, valkey: Valkey, client: ValkeyClient, log: object[]) => Promise<void>): void => {
    test(`${name}: ${fact}`, async t => {
      const log: object[] = []
      const resource = await open(openParts({ log: createLog(log) }))
      t.after(() => resource.close())
      await body(t, resource.value.scoped(`test-${randomUUID()}`), resource.value, log)
    })
  }

  it('gives back what was set', async (_t, valkey) => {
    await valkey.set('point', { x: 1, label: 'é\n"' }, { ttlMs })
    assert.deepEqual(await valkey.get('point', Point), { x: 1, label: 'é\n"' })
    await valkey.set('point', { x: 2, label: '' }, { ttlMs })
    assert.deepEqual(await valkey.get('point', Point), { x: 2, label: '' })
    await valkey.set('nothing', null, { ttlMs })
    assert.equal(await valkey.get('nothing', z.null()), null)
  })

  it('gives undefined for what was never set', async (_t, valkey) => {
    assert.equal(await valkey.get('point', Point), undefined)
  })

  it('forgets a value when its time to live is over', async (_t, valkey) => {
    await valkey.set('short', 1, { ttlMs: 40 })
    await valkey.set('long', 1, { ttlMs })
    assert.equal(await valkey.get('short', z.number()), 1)
    await until(async () => await valkey.get('short', z.number()) === undefined)
    assert.equal(await valkey.get('long', z.number()), 1)
  })

  it('treats a value that does not fit the schema as a miss', async (_t, valkey) => {
    await valkey.set('point', { x: 'one' }, { ttlMs })
    assert.equal(await valkey.get('point', Point), undefined)
  })

  it('shares no value by reference', async (_t, valkey) => {
    const list = [1]
    await valkey.set('list', list, { ttlMs })
    list.push(2)
    const first = await valkey.get('list', z.array(z.number()))
    first?.push(3)
    assert.deepEqual(await valkey.get('list', z.array(z.number())), [1])
  })

  it('keeps plugins apart, whatever their keys look like', async (_t, _valkey, client) => {
    const one = client.scoped(`a-${randomUUID()}`)
    const id = `b-${randomUUID()}`
    const other = client.scoped(id)
    await other.set('key', 'secret', { ttlMs })
    for (const key of ['key', `${id}:key`, `:${id}:key`, `../${id}:key`]) assert.equal(await one.get(key, z.string()), undefined, key)
    assert.equal(await client.host.get(`${id}:key`, z.string()), 'secret')
  })

  it('refuses a scope whose id could leave it', async (_t, _valkey, client) => {
    for (const id of ['', 'a:b', 'A', 'a b']) assert.throws(() => client.scoped(id), TypeError, id)
  })

  it('removes several keys, and one that is not there without complaint', async (_t, valkey) => {
    await valkey.set('a', 1, { ttlMs })
    await valkey.set('b', 2, { ttlMs })
    await valkey.invalidate('a', 'b', 'c')
    await valkey.invalidate()
    assert.equal(await valkey.get('a', z.number()), undefined)
    assert.equal(await valkey.get('b', z.number()), undefined)
  })

  it('refuses keys, lives and values that it cannot keep', async (_t, valkey) => {
    for (const key of ['', 'a b', 'a\nb', 'a\0', 'x'.repeat(513), 'é'.repeat(257), '\ud800']) {
      await assert.rejects(valkey.set(key, 1, { ttlMs }), TypeError, JSON.stringify(key))
      await assert.rejects(valkey.get(key, z.number()), TypeError, JSON.stringify(key))
      await assert.rejects(valkey.publish(key, 1), TypeError, JSON.stringify(key))
    }
    await valkey.set('é'.repeat(256), 1, { ttlMs })
    for (const wrongMs of [0, 0.5, -1, Number.NaN, Infinity, 30 * 86_400_000 + 1]) {
      await assert.rejects(valkey.set('a', 1, { ttlMs: wrongMs }), RangeError, String(wrongMs))
      await assert.rejects(valkey.remember('a', z.number(), { ttlMs: wrongMs }, async () => 1), RangeError, String(wrongMs))
    }
    for (const value of [undefined, () => 1, 10n]) await assert.rejects(valkey.set('a', value, { ttlMs }), TypeError)
  })

  it('loads once however many callers wait, and stores what was loaded', async (_t, valkey) => {
    let loads = 0
    const load = async (): Promise<number[]> => { loads++; await sleep(20); return [42] }
    const values = await Promise.all(Array.from({ length: 50 }, () => valkey.remember('answer', z.array(z.number()), { ttlMs }, load)))
    assert.deepEqual(values, Array.from({ length: 50 }, () => [42]))
    assert.equal(new Set(values).size, 50, 'every caller has a value of its own')
    assert.deepEqual(await valkey.remember('answer', z.array(z.number()), { ttlMs }, load), [42])
    assert.equal(loads, 1)
    assert.deepEqual(await valkey.get('answer', z.array(z.number())), [42])
  })

  it('takes an error of the load to every waiter and stores nothing', async (_t, valkey) => {
    let loads = 0
    const load = async (): Promise<number> => { loads++; await sleep(20); throw new Error('no such answer') }
    const results = await Promise.allSettled([1, 2, 3].map(() => valkey.remember('answer', z.number(), { ttlMs }, load)))
    assert.deepEqual(results.map(result => result.status === 'rejected' && String(result.reason)), Array(3).fill('Error: no such answer'))
    assert.equal(loads, 1)
    assert.equal(await valkey.remember('answer', z.number(), { ttlMs }, async () => 7), 7)
  })

  it('lets the value decide how long it lives, and stores none that has no time left', async (_t, valkey) => {
    const Life = z.object({ leftMs: z.number() })
    const options = { ttlMs: (value: z.output<typeof Life>) => value.leftMs }
    await valkey.remember('expired', Life, options, async () => ({ leftMs: -5 }))
    assert.equal(await valkey.get('expired', Life), undefined)
    await valkey.remember('short', Life, options, async () => ({ leftMs: 200 }))
    assert.deepEqual(await valkey.get('short', Life), { leftMs: 200 })
    await until(async () => await valkey.get('short', Life) === undefined)
  })

  it('does not store what was loaded before an invalidation', async (_t, valkey) => {
    let old: () => void = () => undefined
    const started = Promise.withResolvers<undefined>()
    const first = valkey.remember('role', z.string(), { ttlMs }, () => new Promise(resolve => { old = () => resolve('old'); started.resolve(undefined) }))
    await started.promise
    await valkey.invalidate('role')
    assert.equal(await valkey.remember('role', z.string(), { ttlMs }, async () => 'new'), 'new')
    old()
    assert.equal(await first, 'old')
    assert.equal(await valkey.get('role', z.string()), 'new')
  })

  it('says so when what was loaded does not fit its own schema', async (_t, valkey) => {
    const When = z.object({ at: z.date() })
    await assert.rejects(valkey.remember('when', When, { ttlMs }, async () => ({ at: new Date() })), /"when" does not fit its schema once it is JSON/)
  })

  it('brings a message to every subscriber of the channel and to no other', async (_t, valkey, client) => {
    const heard: string[] = []
    await valkey.subscribe('news', Point, ({ label }) => { heard.push(`one ${label}`) })
    await valkey.subscribe('news', Point, ({ label }) => { heard.push(`two ${label}`) })
    await valkey.subscribe('other', Point, () => { heard.push('another channel') })
    await client.scoped('another-plugin').subscribe('news', Point, () => { heard.push('another plugin') })
    await valkey.publish('news', { x: 1, label: 'a' })
    await valkey.publish('news', { x: 2, label: 'b' })
    await until(() => heard.length >= 4)
    assert.deepEqual(heard.toSorted(), ['one a', 'one b', 'two a', 'two b'])
    assert.deepEqual(heard.filter(text => text.startsWith('one')), ['one a', 'one b'], 'in order')
  })

  it('brings no message that was sent before the subscription or after leaving', async (_t, valkey) => {
    const heard: number[] = []
    await valkey.publish('news', 1)
    const leave = await valkey.subscribe('news', z.number(), value => { heard.push(value) })
    await valkey.publish('news', 2)
    await until(() => heard.length > 0)
    await leave()
    await leave()
    await valkey.publish('news', 3)
    const again = await valkey.subscribe('news', z.number(), value => { heard.push(value) })
    await valkey.publish('news', 4)
    await until(() => heard.includes(4))
    assert.deepEqual(heard, [2, 4])
    await again()
  })

  it('does not run a subscriber inside its publisher', async (_t, valkey) => {
    let isPublishing = true
    const heard = Promise.withResolvers<boolean>()
    await valkey.subscribe('news', z.number(), () => heard.resolve(isPublishing))
    const sent = valkey.publish('news', 1)
    isPublishing = false
    await sent
    assert.equal(await heard.promise, false)
  })

  it('logs a message that does not fit and a subscriber that fails, and goes on', async (_t, valkey, _client, log) => {
    const heard: number[] = []
    await valkey.subscribe('news', z.number(), async value => {
      heard.push(value)
      if (value === 1) throw new Error('cannot take one')
    })
    for (const message of ['not a number', 1, 2]) await valkey.publish('news', message)
    await until(() => heard.includes(2))
    assert.deepEqual(heard, [1, 2])
    const messages = log.map(entry => (entry as { message: string }).message)
    assert.ok(messages.some(text => text.includes('does not fit the schema')), String(messages))
    assert.ok(messages.some(text => text.includes('a subscriber failed')), String(messages))
  })

  test(`${name}: answers a check while it is open, and refuses everything once it is closed`, async () => {
    const resource = await open(openParts())
    const { host } = resource.value
    await resource.check(new AbortController().signal)
    await resource.close()
    await assert.rejects(resource.check(new AbortController().signal))
    await assert.rejects(host.get('a', z.number()), ServiceUnavailable)
    await assert.rejects(host.set('a', 1, { ttlMs }), ServiceUnavailable)
    await assert.rejects(host.publish('a', 1), ServiceUnavailable)
    await assert.rejects(host.subscribe('a', z.number(), () => undefined), ServiceUnavailable)
    assert.equal(await host.remember('a', z.number(), { ttlMs }, async () => 5), 5)
  })
}
