// What the host and koa make of a request's headers and query takes no time that grows faster than they do.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from '../../../core/contract/index.ts'
import { anyone, route, sendRaw, startHttp } from '../fixture.ts'
import type { Running } from '../fixture.ts'

const routes = [
  route('post', '/', { ...anyone, body: z.object({}) }, ctx => ctx.input.body),
  route('get', '/', { ...anyone, query: z.looseObject({}) }, () => ({ read: true })),
  // All that koa reads from a request for a handler that asks.
  route('get', '/asks', anyone, ctx => {
    const { request } = ctx
    return String([
      ctx.is('json', 'text/*', 'multipart'), ctx.accepts('json', 'html'), ctx.acceptsLanguages('en'), ctx.acceptsEncodings('gzip'), ctx.acceptsCharsets('utf-8'),
      ctx.cookies.get('session'), ctx.query, request.charset, request.type, request.length, ctx.ip, ctx.ips, ctx.host, ctx.hostname, ctx.protocol, ctx.origin,
      ctx.href, ctx.subdomains, ctx.fresh, ctx.search, request.URL
    ].map(typeOf))
  })
]
const typeOf = (value: unknown): string => typeof value

const firsts: Record<string, readonly string[]> = {
  'Content-Type': ['', 'application/json', 'application/json;', 'application/json; charset="', 'multipart/form-data; boundary='],
  'Content-Encoding': ['', 'gzip'], Authorization: ['', 'Bearer ', 'Bearer a'], Cookie: ['', 'session=', 'a=b; session'],
  Accept: ['', 'text/html', 'text/html;q='], 'Accept-Language': ['', 'en;q='], 'Accept-Encoding': ['', 'gzip;q='], 'Accept-Charset': ['', 'utf-8;q='],
  'X-Forwarded-For': [''], 'X-Forwarded-Host': ['', 'a:'], 'X-Forwarded-Proto': [''], Origin: ['', 'http://a'], 'X-Request-Id': [''], 'If-None-Match': ['', '"a'],
  'If-Modified-Since': [''], 'Cache-Control': [''], 'Sec-Fetch-Site': [''], Expect: ['', '100-continue'], 'User-Agent': ['']
}
const units = ['a', ' ', ';', ',', '=', '"', '\t', ' ;', ', ', ';a=', 'a/b,', '*', '0.', '+', '\\"', ':']
const slowMs = 40

/** Gives the milliseconds of processor time, which no other process takes part in. */
async function ask (host: Running, head: string): Promise<number> {
  const before = process.cpuUsage()
  await sendRaw(host, head)
  return process.cpuUsage(before).user / 1_000
}

test('no header and no query takes time that grows faster than its length', async t => {
  const host = await startHttp(t, routes, { settings: { trustProxyHops: 2, corsOrigins: ['https://app.example.org'] } })
  const grown: string[] = []
  const check = async (name: string, headOf: (length: number) => string): Promise<void> => {
    if (await ask(host, headOf(15_000)) < slowMs) return
    const best = async (length: number): Promise<number> => {
      const times: number[] = []
      for (let at = 0; at < 5; at++) times.push(await ask(host, headOf(length)))
      return Math.min(...times)
    }
    const [whole, half] = [await best(15_000), await best(7_500)]
    if (whole > slowMs && whole > 2.5 * half) grown.push(`${name}: ${whole.toFixed()} ms, half of it ${half.toFixed()} ms`)
  }
  const end = 'Host: a\r\nConnection: close\r\n'
  for (const unit of units) {
    const run = (length: number): string => unit.repeat(Math.floor(length / unit.length))
    for (const [header, starts] of Object.entries(firsts)) {
      for (const start of starts) {
        const value = (length: number): string => `${header}: ${start}${run(length)}x\r\n`
        const read = header.startsWith('Content-') ? `POST /api/notes HTTP/1.1\r\n${end}Content-Length: 2\r\n` : undefined
        if (read !== undefined) await check(`${header} ${start}${unit}`, length => `${read}${value(length)}\r\n{}`)
        await check(`${header} ${start}${unit}`, length => `GET /api/notes/asks HTTP/1.1\r\n${end}${value(length)}\r\n`)
      }
    }
  }
  for (const unit of ['a', '&', '=', 'a&', '&a=', '+', '%20', '%25', 'a[b]', '[', '/', '?', ';', '.', '-']) {
    for (const path of ['/api/notes?', '/api/notes/asks?a=', '/api/notes/', '/api/', '/']) {
      await check(`${path}${unit}`, length => `GET ${path}${unit.repeat(Math.floor(length / unit.length))} HTTP/1.1\r\n${end}\r\n`)
    }
  }
  assert.deepEqual(grown, [])
})

test('a path with several parameters in a segment does not grow faster than it is long', async t => {
  const paths = ['/:a', '/:a/:b/:c', '/:a-:b', '/:a.:b', '/*rest', '/*rest/:a', '/x{/:a}{/:b}']
  const host = await startHttp(t, paths.map((path, at) => route('get', `/${at}${path}`, { ...anyone, params: z.record(z.string(), z.unknown()) }, () => ({}))))
  for (const at of paths.keys()) {
    for (const unit of ['a', '-', '.', '/', 'a-', 'a.', 'a/', '-.', '%2F']) {
      const head = (length: number): string => `GET /api/notes/${at}/${unit.repeat(Math.floor(length / unit.length))}! HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`
      const times: number[] = []
      for (let tried = 0; tried < 5 && !(Math.min(...times) < slowMs); tried++) times.push(await ask(host, head(15_000)))
      assert.ok(Math.min(...times) < slowMs, `${paths[at]} on ${unit}: ${Math.min(...times).toFixed()} ms`)
    }
  }
})
