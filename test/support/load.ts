// A steady load: so many requests a second whatever the answers take, each counted, and timed from the moment it was due.

import { Agent, request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Ask {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly body?: object
}

export interface LoadSettings {
  readonly requestsPerSecond: number
  /** What the request of this number asks; the load is what it makes of the numbers. */
  ask (number: number): Ask
  readonly headers?: Record<string, string>
  /** Of so many requests, one goes over a connection of its own. 2 unless said: every other one. */
  readonly freshEvery?: number
}

export interface Sample { readonly dueAtMs: number, readonly tookMs: number }

export interface LoadReport {
  readonly sent: number
  /** By what went wrong: a status that is no success, or the error of the connection. */
  readonly failed: Readonly<Record<string, number>>
  /** Of what was answered. */
  readonly samples: readonly Sample[]
}

export interface Load {
  /** Sends nothing more, and waits for every answer. */
  stop (): Promise<LoadReport>
}

const deadlineMs = 20_000
const tickMs = 4

export function startLoad (url: string, { requestsPerSecond, ask, headers = {}, freshEvery = 2 }: LoadSettings): Load {
  const kept = new Agent({ keepAlive: true, maxSockets: 64 })
  const fresh = new Agent({ keepAlive: false })
  const failed: Record<string, number> = {}
  const samples: Sample[] = []
  const underWay = new Set<Promise<void>>()
  const { hostname, port } = new URL(url)

  const send = (number: number): Promise<void> => new Promise(resolve => {
    const { method, path, body } = ask(number)
    const text = body === undefined ? undefined : JSON.stringify(body)
    const dueAtMs = beganAtMs + number * 1_000 / requestsPerSecond
    const fail = (why: string): void => { failed[why] = (failed[why] ?? 0) + 1; resolve() }
    const answered = (answer: IncomingMessage): void => {
      answer.resume()
      answer.on('error', (error: NodeJS.ErrnoException) => fail(`${method} ${error.code ?? error.message} in the answer`))
      answer.on('end', () => {
        const status = answer.statusCode ?? 0
        if (status < 200 || status > 299) { fail(`${method} ${status}`); return }
        samples.push({ dueAtMs, tookMs: performance.now() - dueAtMs })
        resolve()
      })
    }
    request({
      hostname, port, method, path, agent: number % freshEvery === 0 ? fresh : kept, signal: AbortSignal.timeout(deadlineMs),
      headers: { ...headers, ...text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) } }
    }, answered).on('error', (error: NodeJS.ErrnoException) => fail(`${method} ${error.code ?? error.message}`)).end(text)
  })

  const beganAtMs = performance.now()
  let sent = 0
  const ending = new AbortController()
  const going = (async () => {
    while (!ending.signal.aborted) {
      for (const due = (performance.now() - beganAtMs) * requestsPerSecond / 1_000; sent < due; sent++) {
        const answer = send(sent).finally(() => underWay.delete(answer))
        underWay.add(answer)
      }
      await sleep(tickMs)
    }
  })()

  return {
    async stop () {
      ending.abort()
      await going
      await Promise.all(underWay)
      kept.destroy()
      return { sent, failed, samples }
    }
  }
}

export const totalFailed = ({ failed }: LoadReport): number => Object.values(failed).reduce((sum, count) => sum + count, 0)

/** In milliseconds; NaN without a sample. */
export function percentile (samples: readonly Sample[], percent: number): number {
  const sorted = samples.map(({ tookMs }) => tookMs).sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * percent / 100))] ?? NaN
}
