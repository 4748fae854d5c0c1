// Valkey goes away while it is used: who is told, how soon, and that commands and subscriptions are both there again when it is back.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { schema } from '../../../config/schema.ts'
import { ServiceUnavailable, z } from '../../../core/contract/index.ts'
import { openValkey } from '../../../core/resources/valkey/valkey-resource.ts'
import { clock, openParts } from '../../support/part.ts'
import { freePort } from '../../support/process.ts'
import { startProxy } from '../../support/proxy.ts'
import { until } from '../../support/until.ts'
import { startValkeyServer } from '../../support/valkey-server.ts'

// What a host has unless told otherwise: the figures are about these.
const { commandTimeoutMs: { default: commandTimeoutMs }, connectTimeoutMs: { default: connectTimeoutMs } } = schema.valkey
const shared = process.env.TEST_VALKEY_URL ?? ''
const ttlMs = 60_000

/** A replica behind `port`, and another that publishes to it on the straight way. */
async function open (t: TestContext, port: number) {
  const resource = await openValkey({ url: `redis://127.0.0.1:${port}`, commandTimeoutMs, connectTimeoutMs }, openParts())
  t.after(() => resource.close())
  const valkey = resource.value.scoped(`test-${randomUUID()}`)
  const heard: number[] = []
  await valkey.subscribe('news', z.number(), n => { heard.push(n) })
  const returns: number[] = []
  resource.value.onReconnect(() => { returns.push(performance.now()) })
  return { resource, valkey, heard, returns }
}

type Replica = Awaited<ReturnType<typeof open>>

const works = ({ valkey }: Replica): Promise<boolean> => valkey.set('a', 1, { ttlMs }).then(() => true, () => false)

/** A message is published until one arrives: what is sent while a subscription is not there reaches nobody. */
async function hears ({ valkey, heard }: Replica): Promise<boolean> {
  const { length } = heard
  await valkey.publish('news', length).catch((error: unknown) => { assert.ok(error instanceof ServiceUnavailable) })
  await clock.sleep(5)
  return heard.length > length
}

async function refusal (asked: Promise<unknown>): Promise<number> {
  const from = performance.now()
  await assert.rejects(asked, ServiceUnavailable)
  return performance.now() - from
}

/** Milliseconds from the return to the first command that works and the first message that is heard. */
async function resume (replica: Replica): Promise<number> {
  const from = performance.now()
  await until(() => works(replica))
  await until(() => hears(replica))
  return performance.now() - from
}

const rounds = process.env.BULKHEAD_LONG === '1' ? 30 : 4

test(`in ${rounds} silences each command is refused in time, and all resumes within a second`, async t => {
  const proxy = await startProxy(t, Number(new URL(shared).port))
  const replica = await open(t, proxy.port)
  let slowestRefusalMs = 0
  let slowestLaterMs = 0
  let slowestReturnMs = 0
  for (let round = 0; round < rounds; round++) {
    proxy.hold()
    slowestRefusalMs = Math.max(slowestRefusalMs, await refusal(replica.valkey.get('a', z.number())))
    await until(async () => await refusal(replica.valkey.get('a', z.number())) < 50)
    slowestLaterMs = Math.max(slowestLaterMs, await refusal(replica.valkey.get('a', z.number())))
    await assert.rejects(replica.resource.check(new AbortController().signal))
    // The return comes in the midst of one attempt or the other, or between them.
    await clock.sleep(round * 173 % 1_500)
    proxy.pass()
    if (round % 2 === 1) proxy.reset()
    slowestReturnMs = Math.max(slowestReturnMs, await resume(replica))
    await replica.resource.check(new AbortController().signal)
  }
  t.diagnostic(`503 after ${Math.round(slowestRefusalMs)} ms, later ones after ${Math.round(slowestLaterMs)} ms; all back ${Math.round(slowestReturnMs)} ms after the return, at worst`)
  assert.ok(slowestRefusalMs < 2_000 && slowestReturnMs < 2_500)
})

test('while no server listens commands are refused at once, and resume a second after its return', async t => {
  const proxy = await startProxy(t, Number(new URL(shared).port))
  const replica = await open(t, proxy.port)
  await proxy.refuse()
  await until(async () => !await works(replica))
  const refusals = await Promise.all([1, 2, 3].map(() => refusal(replica.valkey.get('a', z.number()))))
  await clock.sleep(2_000)
  await proxy.accept()
  const returned = await resume(replica)
  t.diagnostic(`503 after ${Math.round(Math.max(...refusals))} ms; all back ${Math.round(returned)} ms after the return`)
  assert.ok(Math.max(...refusals) < 500 && returned < 2_500)
})

test('so it is for a server that stands still', async t => {
  const port = await freePort()
  const server = await startValkeyServer(port)
  t.after(() => server.stop())
  const replica = await open(t, port)
  server.signal('SIGSTOP')
  const first = await refusal(replica.valkey.get('a', z.number()))
  await clock.sleep(3_000)
  const later = await refusal(replica.valkey.get('a', z.number()))
  server.signal('SIGCONT')
  const returned = await resume(replica)
  t.diagnostic(`503 after ${Math.round(first)} ms, later ones after ${Math.round(later)} ms; all back ${Math.round(returned)} ms after the return`)
  assert.ok(first < 2_000 && later < 2_000 && returned < 2_500)
})

test('who is told of the return hears news already', async t => {
  const proxy = await startProxy(t, Number(new URL(shared).port))
  const replica = await open(t, proxy.port)
  const direct = await open(t, Number(new URL(shared).port))
  const id = `test-${randomUUID()}`
  const heard: number[] = []
  await replica.resource.value.scoped(id).subscribe('news', z.number(), n => { heard.push(n) })
  let sent = 0
  replica.resource.value.onReconnect(() => { void direct.resource.value.scoped(id).publish('news', ++sent) })
  proxy.hold()
  await clock.sleep(2_500)
  proxy.pass()
  proxy.reset()
  await until(() => sent > 0)
  await until(() => heard.includes(sent))
})
