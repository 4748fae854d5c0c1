// Valkey on a real server: the common behaviour, and what only a network can do to it.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { ServiceUnavailable, z } from '../../../core/contract/index.ts'
import { openValkey } from '../../../core/resources/valkey/valkey-resource.ts'
import { createLog, openParts } from '../../support/part.ts'
import { freePort } from '../../support/process.ts'
import { startProxy } from '../../support/proxy.ts'
import { until } from '../../support/until.ts'
import { startValkeyServer } from '../../support/valkey-server.ts'
import { behavesLikeValkey } from './valkey-behaviour.ts'

const shared = process.env.TEST_VALKEY_URL ?? ''
const limits = { commandTimeoutMs: 300, connectTimeoutMs: 1_000 }
const ttlMs = 60_000

behavesLikeValkey('valkey', parts => openValkey({ url: shared, ...limits, commandTimeoutMs: 1_000 }, parts))

const open = async (t: TestContext, port: number, log: object[] = []) => {
  const resource = await openValkey({ url: `redis://127.0.0.1:${port}`, ...limits }, openParts({ log: createLog(log) }))
  t.after(() => resource.close())
  return resource
}

test('a message reaches the subscribers of every replica', async t => {
  const port = Number(new URL(shared).port)
  const [one, two] = await Promise.all([open(t, port), open(t, port)])
  const id = `test-${randomUUID()}`
  const heard: string[] = []
  await one.value.scoped(id).subscribe('news', z.string(), text => { heard.push(text) })
  await two.value.scoped(id).publish('news', 'hello')
  await until(() => heard.length > 0)
  assert.deepEqual(heard, ['hello'])
})

test('while the server is unavailable commands get 503 and loads still answer, until it is back', async t => {
  const port = await freePort()
  const first = await startValkeyServer(port)
  t.after(() => first.stop())
  const log: object[] = []
  const resource = await open(t, port, log)
  const valkey = resource.value.scoped('test')
  const heard: number[] = []
  let returns = 0
  await valkey.subscribe('news', z.number(), value => { heard.push(value) })
  const leave = await valkey.subscribe('left', z.number(), value => { heard.push(value) })
  resource.value.onReconnect(() => { returns++ })

  await first.stop()
  await until(() => valkey.get('a', z.number()).then(() => false, () => true))
  await assert.rejects(valkey.get('a', z.number()), (error: unknown) => {
    assert.ok(error instanceof ServiceUnavailable)
    assert.equal(error.message, 'The cache is unavailable.')
    return true
  })
  for (const command of [
    valkey.set('a', 1, { ttlMs }), valkey.invalidate('a'), valkey.publish('news', 1), valkey.subscribe('more', z.number(), () => undefined),
    resource.value.host.get('a', z.number())
  ]) await assert.rejects(command, ServiceUnavailable)
  await assert.rejects(resource.check(new AbortController().signal), new RegExp(`Valkey at 127.0.0.1:${port} does not answer`))
  await leave()

  let loads = 0
  const values = await Promise.all([1, 2, 3].map(() => valkey.remember('a', z.number(), { ttlMs }, async () => { loads++; return 9 })))
  assert.deepEqual(values, [9, 9, 9])
  assert.equal(loads, 1)
  for (let i = 0; i < 20; i++) await valkey.remember(`b${i}`, z.number(), { ttlMs }, async () => i)
  assert.equal(log.filter(entry => JSON.stringify(entry).includes('the cache is unavailable')).length, 1, 'one line for the outage, not one a load')

  const second = await startValkeyServer(port)
  t.after(() => second.stop())
  await until(() => returns > 0)
  await until(() => valkey.set('a', 1, { ttlMs }).then(() => true, () => false))
  await resource.check(new AbortController().signal)
  await valkey.publish('left', 1)
  await valkey.publish('news', 2)
  await until(() => heard.includes(2))
  assert.deepEqual(heard, [2])
  assert.equal(returns, 1)
})

test('a command in flight when the connection is reset fails at once and is not sent again', async t => {
  const port = Number(new URL(shared).port)
  const proxy = await startProxy(t, port)
  const resource = await openValkey({ url: `redis://127.0.0.1:${proxy.port}`, commandTimeoutMs: 60_000, connectTimeoutMs: 1_000 }, openParts())
  t.after(() => resource.close())
  const direct = await open(t, port)
  const id = `test-${randomUUID()}`
  const valkey = resource.value.scoped(id)
  const heard: number[] = []
  await direct.value.scoped(id).subscribe('news', z.number(), value => { heard.push(value) })
  proxy.hold()
  const sent = valkey.publish('news', 1)
  proxy.reset()
  await assert.rejects(sent, ServiceUnavailable)
  proxy.pass()
  await until(() => valkey.publish('news', 2).then(() => true, () => false))
  await until(() => heard.length > 0)
  assert.deepEqual(heard, [2])
})

test('a partition is noticed without traffic, fails commands in their time, and heals', async t => {
  const proxy = await startProxy(t, Number(new URL(shared).port))
  const log: object[] = []
  const resource = await open(t, proxy.port, log)
  const direct = await open(t, Number(new URL(shared).port))
  const id = `test-${randomUUID()}`
  const valkey = resource.value.scoped(id)
  const heard: string[] = []
  let returns = 0
  await valkey.subscribe('news', z.string(), text => { heard.push(text) })
  resource.value.onReconnect(() => { returns++ })

  proxy.hold()
  await assert.rejects(valkey.get('a', z.number()), ServiceUnavailable)
  assert.equal(await valkey.remember('a', z.number(), { ttlMs }, async () => 3), 3)
  await assert.rejects(resource.check(new AbortController().signal), /does not answer/)
  // The connection for news is idle; only its heartbeat can tell.
  await until(() => log.some(entry => JSON.stringify(entry).includes('"connection":"news"')))
  proxy.pass()
  await until(() => returns > 0)
  await until(() => valkey.set('a', 1, { ttlMs }).then(() => true, () => false))
  await direct.value.scoped(id).publish('news', 'after')
  await until(() => heard.includes('after'))
})

test('opening says what is wrong, where, and where to look, without the password', async t => {
  const nobody = await freePort()
  await assert.rejects(openValkey({ url: `redis://:hunter2@127.0.0.1:${nobody}`, ...limits }, openParts()), (error: unknown) => {
    assert.ok(error instanceof Error)
    assert.match(error.message, new RegExp(`Valkey at 127.0.0.1:${nobody} cannot be used: .*ECONNREFUSED.*VALKEY_URL`))
    assert.doesNotMatch(error.message, /hunter2/)
    return true
  })

  const port = await freePort()
  const server = await startValkeyServer(port, ['--requirepass', 'correct'])
  t.after(() => server.stop())
  for (const url of [`redis://127.0.0.1:${port}`, `redis://:hunter2@127.0.0.1:${port}`]) {
    await assert.rejects(openValkey({ url, ...limits }, openParts()), (error: unknown) => {
      assert.ok(error instanceof Error)
      assert.match(error.message, /refused the user name or the password.*VALKEY_URL/)
      assert.doesNotMatch(error.message, /hunter2/)
      return true
    })
  }
  const resource = await openValkey({ url: `redis://:correct@127.0.0.1:${port}`, ...limits }, openParts())
  await resource.check(new AbortController().signal)
  await resource.close()
  await assert.rejects(openValkey({ url: `redis://:correct@127.0.0.1:${port}/999`, ...limits }, openParts()), /DB index is out of range/)
})

test('opening gives up when the server accepts and says nothing, and when it is told to', async t => {
  const proxy = await startProxy(t, Number(new URL(shared).port))
  proxy.hold()
  const url = `redis://127.0.0.1:${proxy.port}`
  await assert.rejects(openValkey({ url, commandTimeoutMs: 100, connectTimeoutMs: 200 }, openParts()), /cannot be used: .*VALKEY_URL/)
  const reason = new Error('the host is stopping')
  const stop = new AbortController()
  const opening = openValkey({ url, commandTimeoutMs: 10_000, connectTimeoutMs: 10_000 }, openParts({ signal: stop.signal }))
  stop.abort(reason)
  await assert.rejects(opening, reason)
})
