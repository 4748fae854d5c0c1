// The object storage goes away while it is used: who is told, how soon, what is not cut off, and that all is well when it is back.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { NotFound, ServiceUnavailable } from '../../../core/contract/index.ts'
import { openStorage } from '../../../core/resources/storage/storage-resource.ts'
import { clock, openParts } from '../../support/part.ts'
import { startProxy } from '../../support/proxy.ts'
import { createBucket } from '../../support/s3-server.ts'
import { until } from '../../support/until.ts'

const endpoint = process.env.TEST_S3_ENDPOINT ?? ''

/** With the deadlines of a host. */
async function open (t: TestContext, port: number) {
  const resource = await openStorage({
    kind: 's3',
    endpoint: `http://127.0.0.1:${port}`,
    accessKey: process.env.TEST_S3_ACCESS_KEY ?? '',
    secretKey: process.env.TEST_S3_SECRET_KEY ?? '',
    bucket: await createBucket(t),
    region: 'us-east-1'
  }, openParts(), { deadlineMs: 10_000 })
  t.after(() => resource.close())
  return { ...resource, storage: resource.value.host }
}

async function refusal (asked: Promise<unknown>): Promise<number> {
  const from = performance.now()
  await assert.rejects(asked, ServiceUnavailable)
  return performance.now() - from
}

const rounds = process.env.BULKHEAD_LONG === '1' ? 30 : 2

test(`in ${rounds} silences each call is refused within a second, and all resumes within another`, async t => {
  const proxy = await startProxy(t, Number(new URL(endpoint).port))
  const { storage, check } = await open(t, proxy.port)
  await storage.write('a', 'x')
  let slowestRefusalMs = 0
  let slowestLaterMs = 0
  let slowestReturnMs = 0
  for (let round = 0; round < rounds; round++) {
    proxy.hold()
    const calls = [storage.read('a'), storage.write('b', 'y'), storage.stat('a'), storage.list(''), storage.delete('c')]
    slowestRefusalMs = Math.max(slowestRefusalMs, ...await Promise.all(calls.map(refusal)))
    slowestLaterMs = Math.max(slowestLaterMs, await refusal(storage.read('a')))
    await assert.rejects(check(AbortSignal.timeout(5_000)))
    assert.match(await storage.presign('a', { for: 'read', expiresInMs: 60_000 }) ?? '', /^http/, 'a link needs nobody')
    await clock.sleep(round * 173 % 1_500)
    proxy.pass()
    if (round % 2 === 1) proxy.reset()
    const from = performance.now()
    await until(() => storage.read('a').then(() => true, () => false))
    slowestReturnMs = Math.max(slowestReturnMs, performance.now() - from)
    await check(AbortSignal.timeout(5_000))
  }
  t.diagnostic(`503 after ${Math.round(slowestRefusalMs)} ms, later ones after ${Math.round(slowestLaterMs)} ms; answered ${Math.round(slowestReturnMs)} ms after the return, at worst`)
  assert.ok(slowestRefusalMs < 2_500 && slowestLaterMs < 500 && slowestReturnMs < 2_500)
})

test('while no server listens calls are refused soon, and are answered at once when it is back', async t => {
  const proxy = await startProxy(t, Number(new URL(endpoint).port))
  const { storage, check } = await open(t, proxy.port)
  await storage.write('a', 'x')
  await proxy.refuse()
  const refused = Math.max(...await Promise.all([storage.read('a'), storage.write('b', 'y'), storage.list('')].map(refusal)))
  await assert.rejects(check(AbortSignal.timeout(5_000)))
  await proxy.accept()
  const from = performance.now()
  await until(() => storage.read('a').then(() => true, () => false))
  const returned = performance.now() - from
  t.diagnostic(`503 after ${Math.round(refused)} ms; answered ${Math.round(returned)} ms after the return`)
  assert.ok(refused < 2_500 && returned < 2_500)
})

test('a transfer that takes long is not cut off while the service answers others', async t => {
  const slowMs = 3_000
  const isList = ({ url = '' }: IncomingMessage): boolean => url.includes('list-type')
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    request.resume()
    if (isList(request)) return response.end('<ListBucketResult></ListBucketResult>')
    // A quarter of the object, and the rest after a long while; of a write, the answer.
    if (request.method === 'GET') response.writeHead(200, { 'content-length': 4 }).write('a')
    setTimeout(() => { if (request.method === 'GET') response.end('bcd'); else response.writeHead(200).end() }, slowMs)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => { server.close(); server.closeAllConnections() })
  const { storage } = await open(t, (server.address() as AddressInfo).port)
  const [read] = await Promise.all([storage.read('a'), storage.write('b', 'x')])
  assert.equal(read.toString(), 'abcd')
})

test('an answer that is an error is a sign of life', async t => {
  const proxy = await startProxy(t, Number(new URL(endpoint).port))
  const { storage } = await open(t, proxy.port)
  const end = performance.now() + 2_000
  while (performance.now() < end) await assert.rejects(storage.read('nowhere'), NotFound)
})
