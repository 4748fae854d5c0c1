// Requests a second and latency of a guarded, validated plugin route beside bare koa, koa with its router, and fastify, in interleaved rounds.
// `node test/bench/requests.ts [seconds]`; 80 unless said.

import { execFile, fork, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism, cpus, loadavg } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import autocannon from 'autocannon'
import { note, token } from './peer.ts'

const connections = 64
const rounds = 4

export interface RequestRow {
  readonly name: string
  readonly plugins: number
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** The server's own processor time: steadier than the rest when the machine does other work too. */
  readonly cpuUsPerRequest: number
  /** The median of the rounds, each beside bare koa in the same round. */
  readonly ratioToKoa: number
}

interface Contender { readonly name: string, readonly file: string, readonly plugins: number }
interface Load { readonly requests: number, readonly requestsPerSecond: number, readonly p50Ms: number, readonly p99Ms: number }
interface Sample extends Load { readonly cpuUsPerRequest: number }
type LoadUp = (url: string, seconds: number) => Promise<Load>

const contenders: readonly Contender[] = [
  { name: 'koa, bare', file: 'peer-koa.ts', plugins: 1 },
  { name: 'koa and @koa/router', file: 'peer-koa-router.ts', plugins: 1 },
  { name: 'koa and @koa/router', file: 'peer-koa-router.ts', plugins: 1_000 },
  { name: 'fastify and autoload', file: 'peer-fastify.ts', plugins: 1 },
  { name: 'fastify and autoload', file: 'peer-fastify.ts', plugins: 1_000 },
  { name: 'bulkhead', file: 'peer-bulkhead.ts', plugins: 1 },
  { name: 'bulkhead', file: 'peer-bulkhead.ts', plugins: 1_000 }
]

const has = (command: string): boolean => spawnSync(command, ['--version']).error === undefined
// The servers share one core and the load has another, so that neither takes time from the other.
const isPinned = availableParallelism() > 1 && has('taskset')
const onCore = (core: number, command: string, args: string[]): [string, string[]] =>
  isPinned ? ['taskset', ['-c', String(core), command, ...args]] : [command, args]

export async function benchRequests (seconds = 80): Promise<RequestRow[]> {
  const load = has('wrk') ? loadWithWrk : loadWithAutocannon
  console.log(`requests: ${connections} connections to one core of ${cpus()[0]?.model.trim() ?? 'an unknown processor'} (${availableParallelism()} cores), ` +
    `Node ${process.version}, load from ${load === loadWithWrk ? 'wrk' : 'autocannon'}${isPinned ? ' on another core' : ', not pinned'}, load average ${loadavg()[0]?.toFixed(2) ?? '?'}`)
  console.log('bulkhead authenticates, authorises and validates params and answer; fastify validates params and shapes the answer; koa does neither')
  const servers: ChildProcess[] = []
  try {
    const urls: string[] = []
    for (const { file, plugins } of contenders) {
      const [execPath, execArgv] = onCore(0, process.execPath, [])
      const server = fork(join(import.meta.dirname, file), [String(plugins)], { execPath, execArgv })
      servers.push(server)
      const [port] = await once(server, 'message') as [number]
      urls.push(`http://127.0.0.1:${port}/api/plugin-${plugins - 1}/${note.id}`)
    }
    for (const url of urls) await check(url)
    const each = Math.max(1, Math.round(seconds / contenders.length / (rounds + 0.5)))
    for (const url of urls) await load(url, 1)
    const samples: Sample[][] = contenders.map(() => [])
    for (let round = 0; round < rounds; round++) {
      for (const [at, server] of servers.entries()) samples[at]?.push(await measure(server, () => load(urls[at] ?? '', each)))
    }
    const rows = contenders.map(({ name, plugins }, at) => summarise(name, plugins, samples[at] ?? [], samples[0] ?? []))
    console.table(rows)
    return rows
  } finally {
    for (const server of servers) server.disconnect()
  }
}

async function measure (server: ChildProcess, load: () => Promise<Load>): Promise<Sample> {
  const cpuUs = async (): Promise<number> => {
    server.send('cpu')
    const [used] = await once(server, 'message') as [number]
    return used
  }
  const before = await cpuUs()
  const done = await load()
  return { ...done, cpuUsPerRequest: (await cpuUs() - before) / done.requests }
}

function summarise (name: string, plugins: number, own: readonly Sample[], koa: readonly Sample[]): RequestRow {
  const ratios = own.map(({ requestsPerSecond }, round) => requestsPerSecond / (koa[round]?.requestsPerSecond ?? NaN))
  return {
    name,
    plugins,
    requestsPerSecond: Math.round(median(own.map(sample => sample.requestsPerSecond))),
    p50Ms: Math.round(100 * median(own.map(sample => sample.p50Ms))) / 100,
    p99Ms: median(own.map(sample => sample.p99Ms)),
    cpuUsPerRequest: Math.round(median(own.map(sample => sample.cpuUsPerRequest)) * 10) / 10,
    ratioToKoa: Math.round(median(ratios) * 100) / 100
  }
}

/** All answer the same, or the numbers mean nothing. */
async function check (url: string): Promise<void> {
  const answer = await fetch(url, { headers: { authorization: `Bearer ${token}` } })
  const text = await answer.text()
  if (answer.status !== 200 || text !== JSON.stringify(note)) throw new Error(`${url} answered ${answer.status}: ${text}`)
}

const loadWithWrk: LoadUp = async (url, seconds) => {
  const [command, args] = onCore(1, 'wrk', ['-t1', `-c${connections}`, `-d${seconds}s`, '--latency', '--timeout', '30s', '-H', `Authorization: Bearer ${token}`, url])
  const { stdout } = await promisify(execFile)(command, args)
  if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(`${url} failed under load:\n${stdout}`)
  const units: Record<string, number> = { us: 0.001, ms: 1, s: 1_000 }
  const latency = (percent: number): number => {
    const [, value, unit = ''] = new RegExp(`${percent}%\\s+([\\d.]+)(us|ms|s)`).exec(stdout) ?? []
    return Number(value) * (units[unit] ?? NaN)
  }
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1])
  return { requests, requestsPerSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]), p50Ms: latency(50), p99Ms: latency(99) }
}

/** Slower than wrk, and the bottleneck itself above some 40,000 requests a second. */
const loadWithAutocannon: LoadUp = async (url, seconds) => {
  const result = await autocannon({ url, connections, duration: seconds, headers: { authorization: `Bearer ${token}` } })
  if (result.errors + result.non2xx > 0) throw new Error(`${url} failed under load: ${result.errors} errors, ${result.non2xx} other answers`)
  return { requests: result.requests.total, requestsPerSecond: result.requests.average, p50Ms: result.latency.p50, p99Ms: result.latency.p99 }
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN

if (import.meta.main) await benchRequests(process.argv[2] === undefined ? undefined : Number(process.argv[2]))
