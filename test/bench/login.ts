// Logins a second, and what a flood of them does to everyone else: the latency of other requests with it, as a ratio to that without.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { hash } from 'argon2'
import pg from 'pg'
import { start as startPostgres } from '../support/postgres-server.ts'

const userCount = 200
const flooders = 64
const password = 'correct horse battery'
/** One request after the other, at this pace: open to whatever delays them, and no load of their own. */
const probeEveryMs = 5
const phaseMs = 8_000

const probes = { 'known caller (GET /api/auth/me)': '/api/auth/me', 'one query (GET /api/tokens)': '/api/tokens' }

/** A request to sign in: for whom, with what, and from where. */
interface Attempt { readonly name: string, readonly password: string, readonly address: string }

const floods: Readonly<Record<string, { attempt: (n: number) => Attempt, pauseMs: number }>> = {
  // As no limit by address holds back. Whoever was refused does not come back at once.
  'logins that are right, each from elsewhere': {
    attempt: n => ({ name: `user-${n % userCount}`, password, address: `10.${n >> 16 & 255}.${n >> 8 & 255}.${n & 255}` }), pauseMs: 200
  },
  'guesses at one name from one address': { attempt: () => ({ name: 'user-0', password: 'a wrong guess', address: '192.0.2.1' }), pauseMs: 0 }
}

export interface LoginRow {
  readonly flood: string
  readonly request: string
  readonly p50Ms: number
  readonly p99Ms: number
  readonly p50InFloodMs: number
  readonly p99InFloodMs: number
  readonly p50Ratio: number
  readonly p99Ratio: number
}

export async function benchLogin (): Promise<LoginRow[]> {
  const server = await startPostgres()
  const folder = await mkdtemp(join(tmpdir(), 'bulkhead-bench-'))
  const databaseUrl = server.env.TEST_DATABASE_URL ?? ''
  const host = await startHost({ DATABASE_URL: databaseUrl, PLATFORM_DATA_PATH: folder, PLATFORM_ADMIN_PASSWORD: password, PLATFORM_TRUST_PROXY: '1' })
  try {
    const hashMs = await addUsers(databaseUrl)
    console.log(`login: ${flooders} clients at once, argon2id of 64 MiB, ${(1_000 / hashMs).toFixed(1)} hashes a second on a core of its own, ` +
      `${availableParallelism()} cores shared with the clients`)
    const { cookie } = await login(host.url, { name: 'user-1', password, address: '10.0.0.1' })
    const rows: LoginRow[] = []
    for (const [name, { attempt, pauseMs }] of Object.entries(floods)) {
      const calm = await probeAll(host.url, cookie)
      const flood = startFlood(host.url, attempt, pauseMs)
      const rough = await probeAll(host.url, cookie)
      const { counts, tookMs } = await flood.stop()
      console.log(`${name}: answered a second ${[...counts].sort().map(([status, count]) => `${(count * 1_000 / tookMs).toFixed(1)} × ${status}`).join(', ')}`)
      rows.push(...Object.keys(probes).map((request, at) => compare(name, request, calm[at] ?? [], rough[at] ?? [])))
    }
    console.table(rows)
    return rows
  } finally {
    await host.stop()
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  }
}

function compare (flood: string, request: string, before: readonly number[], during: readonly number[]): LoginRow {
  const [p50Ms, p99Ms] = [percentile(before, 50), percentile(before, 99)]
  const [p50InFloodMs, p99InFloodMs] = [percentile(during, 50), percentile(during, 99)]
  return { flood, request, p50Ms, p99Ms, p50InFloodMs, p99InFloodMs, p50Ratio: round(p50InFloodMs / p50Ms), p99Ratio: round(p99InFloodMs / p99Ms) }
}

async function startHost (env: Record<string, string>): Promise<{ url: string, stop: () => Promise<void> }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, '../../core/main.js')], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, PLATFORM_LISTEN: '127.0.0.1:0', LIGHTSHIP_PORT: '0', PLATFORM_LOG_FORMAT: 'json', ...env },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const ended = once(child, 'close')
  let output = ''
  for await (const chunk of child.stdout.iterator({ destroyOnReturn: false })) {
    output += String(chunk)
    const line = output.split('\n').find(text => text.includes('"msg":"ready"') && output.includes(`${text}\n`))
    if (line === undefined) continue
    child.stdout.resume()
    return { url: (JSON.parse(line) as { url: string }).url, stop: async () => { child.kill('SIGTERM'); await ended } }
  }
  throw new Error(`the host ended before it was ready:\n${output}`)
}

/** Of one password, because making two hundred hashes would take longer than the bench. Gives how long one takes, in ms. */
async function addUsers (databaseUrl: string): Promise<number> {
  const client = new pg.Client(databaseUrl)
  await client.connect()
  try {
    const startedAt = performance.now()
    const digest = await hash(password, { memoryCost: 64 * 1_024, timeCost: 3, parallelism: 1 })
    const hashMs = performance.now() - startedAt
    await client.query(`
      insert into users (name, email, password_hash) select 'user-' || n, n || '@localhost', $2 from generate_series(0, $1::int - 1) n
    `, [userCount, digest])
    return hashMs
  } finally {
    await client.end()
  }
}

async function login (url: string, { name, password, address }: Attempt): Promise<{ status: number, cookie: string }> {
  const answer = await fetch(`${url}/api/auth/login`, {
    method: 'POST', headers: { 'content-type': 'application/json', 'x-forwarded-for': address }, body: JSON.stringify({ name, password })
  })
  await answer.arrayBuffer()
  return { status: answer.status, cookie: answer.headers.getSetCookie()[0]?.split(';')[0] ?? '' }
}

interface Flood {
  stop (): Promise<{ counts: ReadonlyMap<number, number>, tookMs: number }>
}

function startFlood (url: string, attempt: (n: number) => Attempt, pauseMs: number): Flood {
  const counts = new Map<number, number>()
  const over = new AbortController()
  const startedAt = performance.now()
  let next = 1
  const flooding = Array.from({ length: flooders }, async () => {
    while (!over.signal.aborted) {
      const { status } = await login(url, attempt(next++))
      counts.set(status, (counts.get(status) ?? 0) + 1)
      if (status !== 200) await sleep(pauseMs)
    }
  })
  return {
    async stop () {
      over.abort()
      await Promise.all(flooding)
      return { counts, tookMs: performance.now() - startedAt }
    }
  }
}

/** Milliseconds of each request, for each of the probes. */
async function probeAll (url: string, cookie: string): Promise<number[][]> {
  const samples = Object.values(probes).map((): number[] => [])
  const endMs = performance.now() + phaseMs
  while (performance.now() < endMs) {
    for (const [at, path] of Object.values(probes).entries()) {
      const startedAt = performance.now()
      const answer = await fetch(`${url}${path}`, { headers: { cookie } })
      await answer.arrayBuffer()
      if (answer.status !== 200) throw new Error(`${path} answered ${answer.status}`)
      samples[at]?.push(performance.now() - startedAt)
      await sleep(probeEveryMs)
    }
  }
  return samples
}

const round = (value: number): number => Math.round(value * 100) / 100
const percentile = (values: readonly number[], percent: number): number =>
  round(values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * percent / 100))] ?? NaN)

if (import.meta.main) await benchLogin()
