// The database falls silent while it is used: who is told, how soon, and that nothing is lost or stuck when it is back.

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { ServiceUnavailable, sql, z } from '../../../core/contract/index.ts'
import type { Postgres } from '../../../core/contract/index.ts'
import { openEmbeddedPostgres } from '../../../core/resources/embedded/embedded-postgres.ts'
import { createDatabase, serverUrl } from '../../support/database.ts'
import { clock, openParts } from '../../support/part.ts'
import { openTestPostgres } from '../../support/postgres.ts'
import { startProxy } from '../../support/proxy.ts'
import { undo } from '../../support/undo.ts'
import { until } from '../../support/until.ts'

const nothing = z.object({})
const sleep = (seconds: number) => sql.type(nothing)`SELECT pg_sleep(${seconds})`
const one = sql.type(z.object({ one: z.int() }))`SELECT 1 AS one`
const answers = (postgres: Postgres) => postgres.one(one).then(() => true, () => false)
// What a host has: deadlines far beyond a second, so that only the pulse can be what ends a wait.
const deadlines = { poolMax: 4, connectTimeoutMs: 20_000, acquireTimeoutMs: 20_000, acquireQueueMax: 1_000, statementTimeoutMs: 30_000 }

async function openBehindProxy (t: TestContext, url = serverUrl()) {
  const far = new URL(url)
  const proxy = await startProxy(t, Number(far.port))
  far.port = `${proxy.port}`
  return { proxy, ...await openTestPostgres(t, { url: far.href, ...deadlines }) }
}

/** How long it took to be refused with 503. */
async function refusal (asked: Promise<unknown>): Promise<number> {
  const from = performance.now()
  await assert.rejects(asked, ServiceUnavailable)
  return performance.now() - from
}

/** Every place is there, each with a connection that answers: as many at once as there may be, none waiting for another. */
async function assertWhole (postgres: Postgres): Promise<void> {
  const Pid = z.object({ pid: z.int() })
  const pids = await Promise.all(Array.from({ length: deadlines.poolMax }, () => postgres.oneFirst(sql.type(Pid)`SELECT pg_backend_pid() AS pid FROM pg_sleep(0.2)`)))
  assert.equal(new Set(pids).size, deadlines.poolMax)
}

interface Outage {
  postgres: Postgres
  check: (signal: AbortSignal) => Promise<void>
  fall: () => void
  rise: () => void
}

async function assertOutage (t: TestContext, { postgres, check, fall, rise }: Outage): Promise<void> {
  await assertWhole(postgres)
  fall()
  // Twice the pool and more: those that hold a connection, and those that wait for one.
  const refusals = await Promise.all(Array.from({ length: 3 * deadlines.poolMax }, () => refusal(postgres.one(one))))
  const later = await refusal(postgres.one(one))
  await assert.rejects(check(AbortSignal.timeout(5_000)))
  rise()
  const risenAt = performance.now()
  await until(() => answers(postgres))
  const resumed = performance.now() - risenAt
  t.diagnostic(`503 after ${Math.round(Math.max(...refusals))} ms, later ones after ${Math.round(later)} ms; answered ${Math.round(resumed)} ms after the return`)
  assert.ok(Math.max(...refusals) < 2_500)
  assert.ok(later < 500)
  assert.ok(resumed < 2_500)
  await check(AbortSignal.timeout(5_000))
  await assertWhole(postgres)
}

test('in a network that swallows everything callers fail in 1 s, and resume 1 s after it heals', async t => {
  const { proxy, postgres, check } = await openBehindProxy(t)
  await assertOutage(t, { postgres, check, fall: () => proxy.hold(), rise: () => proxy.pass() })
})

test('so it is when what was held back is lost', async t => {
  const { proxy, postgres, check } = await openBehindProxy(t)
  await assertOutage(t, { postgres, check, fall: () => proxy.hold(), rise: () => { proxy.pass(); proxy.reset() } })
})

test('so it is for a server that stands still', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'bulkhead-outage-'))
  const server = await openEmbeddedPostgres({ dataPath: folder, parameters: { fsync: 'off' } }, openParts())
  undo(t, async () => { await server.close(); await rm(folder, { recursive: true }) })
  const { postgres, check } = await openTestPostgres(t, { url: server.value.url, ...deadlines })
  let stopped: number[] = []
  const rise = (): void => { for (const pid of stopped.splice(0)) process.kill(pid, 'SIGCONT') }
  undo(t, rise)
  await assertOutage(t, {
    postgres,
    check,
    fall: () => {
      stopped = [server.value.pid, ...childrenOf(server.value.pid)]
      for (const pid of stopped) process.kill(pid, 'SIGSTOP')
    },
    rise
  })
})

function childrenOf (parent: number): number[] {
  return readdirSync('/proc').filter(name => /^\d+$/.test(name)).map(Number).filter(pid => {
    try { return Number(/\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1]) === parent } catch { /* It has just ended. */ return false }
  })
}

test('a slow statement on a healthy server is answered, whether or not anybody else asks', async t => {
  const { postgres, check } = await openBehindProxy(t)
  await postgres.query(sleep(3))
  const asking = new AbortController()
  const checks = (async () => {
    while (!asking.signal.aborted) {
      await check(AbortSignal.timeout(5_000))
      await clock.sleep(500)
    }
  })()
  await Promise.all(Array.from({ length: deadlines.poolMax }, () => postgres.query(sleep(3))))
  asking.abort()
  await checks
})

test('a process that is busy with itself for seconds does not take that for a silence', async t => {
  const { postgres, check } = await openBehindProxy(t)
  for (let times = 0; times < 3; times++) {
    const slow = postgres.query(sleep(1.5))
    const checking = check(AbortSignal.timeout(20_000))
    await clock.sleep(20)
    const end = performance.now() + 1_200
    while (performance.now() < end) { /* Blocked. */ }
    await Promise.all([slow, checking, postgres.one(one)])
  }
})

test('a transaction that was open is refused from then on, and nothing of it stays', async t => {
  const url = await createDatabase(t)
  const { proxy, postgres } = await openBehindProxy(t, url)
  await postgres.query(sql.type(nothing)`CREATE TABLE public.kept (n int)`)
  const insert = sql.type(nothing)`INSERT INTO public.kept VALUES (1)`
  const inside = Promise.withResolvers<undefined>()
  const goOn = Promise.withResolvers<undefined>()
  let runs = 0
  const transaction = assert.rejects(postgres.transaction(async tx => {
    runs++
    await tx.query(insert)
    inside.resolve(undefined)
    await goOn.promise
    await tx.query(insert)
  }), ServiceUnavailable)
  await inside.promise
  proxy.hold()
  await refusal(postgres.one(one))
  proxy.pass()
  await until(() => answers(postgres))
  goOn.resolve(undefined)
  await transaction
  assert.equal(runs, 1)
  assert.equal(await postgres.oneFirst(sql.type(z.object({ count: z.int() }))`SELECT count(*) FROM public.kept`), 0)
  await assertWhole(postgres)
})

const rounds = process.env.BULKHEAD_LONG === '1' ? 30 : 2

test(`under load, ${rounds} outages lose nothing that was answered, and leave nothing stuck`, async t => {
  const url = await createDatabase(t)
  const { proxy, postgres } = await openBehindProxy(t, url)
  await postgres.query(sql.type(nothing)`CREATE TABLE public.kept (n int PRIMARY KEY)`)
  const ending = new AbortController()
  const acknowledged: number[] = []
  let next = 0
  let refused = 0
  let longestMs = 0
  const workers = Array.from({ length: 3 * deadlines.poolMax }, async () => {
    while (!ending.signal.aborted) {
      const n = next++
      const from = performance.now()
      try {
        if (n % 3 === 0) await postgres.transaction(tx => tx.query(sql.type(nothing)`INSERT INTO public.kept VALUES (${n})`))
        else await postgres.query(sql.type(nothing)`INSERT INTO public.kept VALUES (${n})`)
        acknowledged.push(n)
      } catch (error) {
        assert.ok(error instanceof ServiceUnavailable, String(error))
        refused++
        await clock.sleep(5)
      }
      longestMs = Math.max(longestMs, performance.now() - from)
    }
  })
  let slowestReturnMs = 0
  for (let round = 0; round < rounds; round++) {
    await clock.sleep(200)
    const before = refused
    if (round % 3 === 2) await proxy.refuse()
    else proxy.hold()
    await until(() => refused > before)
    await clock.sleep(round * 37 % 500)
    const { length } = acknowledged
    if (round % 3 === 2) await proxy.accept()
    else proxy.pass()
    if (round % 3 === 1) proxy.reset()
    const from = performance.now()
    await until(() => acknowledged.length > length)
    slowestReturnMs = Math.max(slowestReturnMs, performance.now() - from)
  }
  ending.abort()
  await Promise.all(workers)
  t.diagnostic(`${acknowledged.length} answered, ${refused} refused; the longest wait ${Math.round(longestMs)} ms, the slowest return ${Math.round(slowestReturnMs)} ms`)
  const kept = new Set(await postgres.anyFirst(sql.type(z.object({ n: z.int() }))`SELECT n FROM public.kept`))
  assert.deepEqual(acknowledged.filter(n => !kept.has(n)), [])
  assert.ok(longestMs < 2_500 && slowestReturnMs < 2_500)
  await assertWhole(postgres)
})
