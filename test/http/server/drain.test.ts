// Leaving without losing a request.

import assert from 'node:assert/strict'
import { Agent, request } from 'node:http'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { anyone, plugin, route, sendRaw, startHttp } from '../fixture.ts'

const routes = [
  route('get', '/', anyone, () => ({ a: 1 })),
  route('get', '/slow', anyone, () => sleep(200, { slow: true })),
  route('get', '/never', anyone, ctx => new Promise(() => ctx.signal))
]
const never = new AbortController().signal

/** The status, once the whole answer is in. */
const get = (agent: Agent, url: string): Promise<number> => new Promise((resolve, reject) => {
  request(url, { agent }, answer => {
    answer.resume()
    answer.on('end', () => resolve(answer.statusCode ?? 0))
    answer.on('error', reject)
  }).on('error', reject).end()
})

test('clients that keep their connections lose no request while they move to another replica', async t => {
  const [leaving, staying] = [await startHttp(t, routes), await startHttp(t, routes)]
  const agent = new Agent({ keepAlive: true, maxSockets: 32 })
  t.after(() => agent.destroy())
  let target = leaving.url
  let going = true
  let answered = 0
  const failures: unknown[] = []
  // 32 connections, each with a request every 10 ms: about 3,000 requests a second.
  const clients = Array.from({ length: 32 }, async () => {
    while (going) {
      await get(agent, `${target}/api/notes`).then(status => { answered++; if (status !== 200) failures.push(status) }, (error: unknown) => failures.push(error))
      await sleep(9)
    }
  })
  await sleep(300)
  const before = answered
  const drained = leaving.listening.drain({ keepListeningMs: 600, signal: never })
  // A load balancer notices late.
  await sleep(300)
  target = staying.url
  const report = await drained
  await sleep(100)
  going = false
  await Promise.all(clients)
  assert.deepEqual(failures, [])
  assert.equal(report.cutOff, 0)
  assert.ok(report.answered > 0, `answered ${report.answered} while leaving`)
  assert.ok(answered > before)
  await assert.rejects(fetch(`${leaving.url}/healthz`))
})

test('while it drains it still answers, and asks each client to leave the connection', async t => {
  const host = await startHttp(t, routes)
  const drained = host.listening.drain({ keepListeningMs: 150, signal: never })
  const answer = await sendRaw(host, 'GET /api/notes HTTP/1.1\r\nHost: a\r\n\r\n')
  assert.match(answer, /^HTTP\/1\.1 200 [^]*Connection: close/)
  await drained
})

test('what is under way is finished first', async t => {
  const host = await startHttp(t, routes)
  const slow = host.fetch('/api/notes/slow')
  await sleep(50)
  const report = await host.listening.drain({ keepListeningMs: 0, signal: never })
  assert.deepEqual(await (await slow).json(), { slow: true })
  assert.equal((await slow).headers.get('connection'), 'close')
  assert.deepEqual([report.answered, report.cutOff], [1, 0])
})

test('when the time is up what is left is cut off and counted, even while it keeps listening', async t => {
  const host = await startHttp(t, routes)
  const lost = [host.fetch('/api/notes/never'), host.fetch('/api/notes/never')].map(answer => answer.then(() => 'answered', () => 'lost'))
  await sleep(50)
  const report = await host.listening.drain({ keepListeningMs: 60_000, signal: AbortSignal.timeout(100) })
  assert.deepEqual(await Promise.all(lost), ['lost', 'lost'])
  assert.deepEqual([report.answered, report.cutOff], [0, 2])
})

test('draining when the time is up already ends at once', async t => {
  const host = await startHttp(t, routes)
  const report = await host.listening.drain({ keepListeningMs: 60_000, signal: AbortSignal.abort() })
  assert.equal(report.cutOff, 0)
})

test('an answer that goes on and on comes to its end with the host, and with its plugin', async t => {
  const stream = route('get', '/stream', anyone, ctx => {
    const body = new Readable({ read () { /* pushed below */ } })
    body.push('begun\n')
    ctx.ending.addEventListener('abort', () => { body.push(`${(ctx.ending.reason as Error).message}\n`); body.push(null) })
    if (ctx.ending.aborted) body.push(null)
    return body
  })
  const host = await startHttp(t, [])
  const unmount = host.http.mount(plugin('notes', [stream]))
  const open = async (): Promise<Response> => {
    const answer = await host.fetch('/api/notes/stream')
    assert.equal(answer.status, 200)
    return answer
  }
  const [first, second] = [await open(), await open()]
  await unmount()
  assert.deepEqual([await first.text(), await second.text()], Array(2).fill('begun\nthe plugin is being replaced or is to end\n'))

  const other = await startHttp(t, [stream])
  const answer = await other.fetch('/api/notes/stream')
  const drained = other.listening.drain({ keepListeningMs: 200, signal: never })
  assert.equal(await answer.text(), 'begun\nthe host is stopping\n')
  // Whoever comes while the load balancer has not noticed is not kept.
  assert.equal(await (await other.fetch('/api/notes/stream')).text(), 'begun\n')
  assert.equal((await drained).cutOff, 0)
})
