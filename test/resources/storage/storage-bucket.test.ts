// Storage in an S3 bucket: the common behaviour, and what only a server behind a network can do to it.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { ServiceUnavailable } from '../../../core/contract/index.ts'
import { openStorage } from '../../../core/resources/storage/storage-resource.ts'
import type { StorageSettings } from '../../../core/resources/storage/storage-resource.ts'
import { openParts } from '../../support/part.ts'
import { freePort } from '../../support/process.ts'
import { startProxy } from '../../support/proxy.ts'
import { createBucket } from '../../support/s3-server.ts'
import { behavesLikeStorage } from './storage-behaviour.ts'

const endpoint = process.env.TEST_S3_ENDPOINT ?? ''

const bucketOf = async (t: TestContext): Promise<Extract<StorageSettings, { kind: 's3' }>> => ({
  kind: 's3',
  endpoint,
  accessKey: process.env.TEST_S3_ACCESS_KEY ?? '',
  secretKey: process.env.TEST_S3_SECRET_KEY ?? '',
  bucket: await createBucket(t),
  region: 'us-east-1'
})

behavesLikeStorage('bucket', async t => openStorage(await bucketOf(t), openParts()))

test('a link reads one object and a link writes one, without further sign-in', async t => {
  const { value } = await openStorage(await bucketOf(t), openParts())
  const notes = value.scoped('notes')
  const key = 'ünï/a b+c?d.txt'
  await notes.write(key, 'hello')
  const read = await notes.presign(key, { for: 'read', expiresInMs: 60_000 })
  assert.equal(await (await fetch(read ?? '')).text(), 'hello')
  const write = await notes.presign(key, { for: 'write', expiresInMs: 60_000 })
  assert.equal((await fetch(write ?? '', { method: 'PUT', body: 'changed' })).status, 200)
  assert.equal((await notes.read(key)).toString(), 'changed')
  // A link for one key is none for another.
  const forged = (write ?? '').replace('/notes/', '/other/')
  assert.notEqual((await fetch(forged, { method: 'PUT', body: 'forged' })).status, 200)
})

test('opening says what is wrong and which setting to look at, without the secret', async t => {
  const settings = await bucketOf(t)
  const nobody = await freePort()
  const wrong: [Partial<typeof settings>, RegExp][] = [
    [{ bucket: 'nowhere' }, /no bucket "nowhere" at 127\.0\.0\.1:\d+\. Create it .*MINIO_BUCKET/],
    [{ secretKey: 'hunter2' }, /Check MINIO_SECRET_KEY/],
    [{ accessKey: 'stranger' }, /Check MINIO_ACCESS_KEY/],
    [{ endpoint: `http://127.0.0.1:${nobody}` }, /does not answer.*Check MINIO_ENDPOINT/]
  ]
  for (const [change, message] of wrong) {
    await assert.rejects(openStorage({ ...settings, ...change }, openParts()), (error: unknown) => {
      assert.ok(error instanceof Error)
      assert.match(error.message, message)
      assert.ok(!`${error.stack ?? ''} ${String(error.cause)}`.includes(change.secretKey ?? settings.secretKey), 'the secret is not told')
      return true
    })
  }
})

test('a server that says nothing is 503 by the deadline, and is used again when it speaks', async t => {
  const proxy = await startProxy(t, Number(new URL(endpoint).port))
  const settings = { ...await bucketOf(t), endpoint: `http://127.0.0.1:${proxy.port}` }
  const resource = await openStorage(settings, openParts(), { deadlineMs: 150 })
  const { host } = resource.value
  await host.write('a', 'x')
  proxy.hold()
  for (const call of [host.read('a'), host.write('b', 'y'), host.stat('a'), host.list(''), host.delete('c')]) {
    await assert.rejects(call, (error: unknown) => {
      assert.ok(error instanceof ServiceUnavailable)
      assert.doesNotMatch(error.message, /127\.0\.0\.1/)
      return true
    })
  }
  await assert.rejects(resource.check(AbortSignal.timeout(100)), { name: 'TimeoutError' })
  proxy.pass()
  assert.equal((await host.read('a')).toString(), 'x')
})

test('a reset while reading is retried, and a server that is gone is 503', async t => {
  const proxy = await startProxy(t, Number(new URL(endpoint).port))
  const settings = { ...await bucketOf(t), endpoint: `http://127.0.0.1:${proxy.port}` }
  const { value } = await openStorage(settings, openParts())
  await value.host.write('a', 'x')
  proxy.hold()
  const reading = value.host.read('a')
  setTimeout(() => { proxy.reset(); proxy.pass() }, 50)
  assert.equal((await reading).toString(), 'x')

  const gone = await openStorage(settings, openParts())
  await proxy.refuse()
  await assert.rejects(gone.value.host.read('a'), ServiceUnavailable)
  await assert.rejects(gone.value.host.write('a', 'y'), ServiceUnavailable)
})

test('opening gives up when told to', async t => {
  const proxy = await startProxy(t, Number(new URL(endpoint).port))
  proxy.hold()
  const stop = new AbortController()
  const opening = openStorage({ ...await bucketOf(t), endpoint: `http://127.0.0.1:${proxy.port}` }, openParts({ signal: stop.signal }))
  const reason = new Error('the host is stopping')
  stop.abort(reason)
  await assert.rejects(opening, reason)
})

test('a list with a limit asks the server for no more than that', async t => {
  const settings = await bucketOf(t)
  const { value } = await openStorage(settings, openParts())
  for (let i = 0; i < 12; i++) await value.host.write(`key-${String(i).padStart(2, '0')}`, 'x')
  const proxy = await startProxy(t, Number(new URL(endpoint).port))
  const through = await openStorage({ ...settings, endpoint: `http://127.0.0.1:${proxy.port}` }, openParts())
  const before = proxy.receivedBytes()
  await through.value.host.list('', { limit: 2 })
  const few = proxy.receivedBytes() - before
  await through.value.host.list('')
  const all = proxy.receivedBytes() - before - few
  assert.ok(few * 2 < all, `${few} bytes for two of twelve, ${all} for all`)
})

test('an object whose body is cut short is 503 after three attempts, and not asked for again', async t => {
  let asked = 0
  const server = createServer((request, response) => {
    if (request.url?.includes('list-type') === true) return response.end('<ListBucketResult></ListBucketResult>')
    asked++
    response.writeHead(200, { 'content-length': 10 }).write('half', () => response.destroy())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => { server.close(); server.closeAllConnections() })
  const { value } = await openStorage({ ...await bucketOf(t), endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }, openParts())
  await assert.rejects(value.host.read('a'), ServiceUnavailable)
  assert.equal(asked, 3)
})
