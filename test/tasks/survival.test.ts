// Background work while its replicas are killed and frozen: what counts is done once, nothing is lost, nothing waits longer than a takeover.

import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql, z } from '../../core/contract/index.ts'
import { createDatabase } from '../support/database.ts'
import { undo } from '../support/undo.ts'
import { until } from '../support/until.ts'
import { openHouse, queue, type House } from './fixture.ts'

const isLong = process.env.BULKHEAD_LONG === '1'
const takeoverMs = 20_000

async function prepare (t: TestContext): Promise<{ url: string, house: House }> {
  const url = await createDatabase(t, { migrated: 'core' })
  const house = await openHouse(t, url)
  await house.postgres.query(sql.unsafe`create table public.effect (job text, attempt int, at timestamptz default clock_timestamp(), is_whole boolean default false)`)
  await house.postgres.query(sql.unsafe`create table public.outside (job text, attempt int)`)
  return { url, house }
}

/** A replica that is started again when it dies, until the test is over. */
interface Replica {
  readonly child: () => ChildProcess
  readonly deaths: () => number
  /** How often it said that it is in the middle of something. */
  readonly middles: () => number
}

async function startReplica (t: TestContext, url: string, kind: string, interval?: string): Promise<Replica> {
  let deaths = 0
  let middles = 0
  let isOver = false
  let current: ChildProcess
  const start = async (): Promise<void> => {
    current = spawn(process.execPath, [join(import.meta.dirname, 'survivor-process.ts'), url, kind, ...interval === undefined ? [] : [interval]], { stdio: ['ignore', 'pipe', 'inherit'] })
    const child = current
    child.once('exit', () => {
      if (isOver) return
      deaths += 1
      void start()
    })
    child.stdout?.on('data', (line: Buffer) => { middles += String(line).split('in the middle').length - 1 })
    await Promise.race([once(child.stdout ?? child, 'data'), once(child, 'exit')])
  }
  await start()
  undo(t, () => { isOver = true; current.kill('SIGKILL') })
  return { child: () => current, deaths: () => deaths, middles: () => middles }
}

const count = (house: House, table: string): Promise<number> =>
  house.postgres.oneFirst({ ...sql.type(z.object({ count: z.int() }))`select`, sql: `select count(*) from public.${table}` })
const pick = <T>(from: readonly T[]): T => from[Math.floor(Math.random() * from.length)] as T

void suite('background work survives', { concurrency: !isLong }, () => {
  test('each job has its effects in Postgres once, while replicas are killed, frozen and thawed', async (t) => {
    const { url, house } = await prepare(t)
    const rounds = isLong ? 200 : 6
    const steady = queue('steady', () => undefined, { retry: { limit: 50 } })
    const replicas = [await startReplica(t, url, 'steady'), await startReplica(t, url, 'steady')]
    const sent: string[] = []
    let [kills, freezes] = [0, 0]
    const frozen = new Set<ChildProcess>()
    for (let round = 0; round < rounds; round += 1) {
      for (let at = 0; at < 8; at += 1) sent.push(await house.tasks.send('crew', steady, round))
      await sleep(10 + Math.random() * 40)
      const child = pick(replicas).child()
      if (round % 2 === 0) {
        child.kill('SIGKILL')
        kills += 1
      } else {
        child.kill('SIGSTOP')
        freezes += 1
        frozen.add(child)
        // Some thaw before they are taken over, some only after.
        const forMs = round % 4 === 1 ? 200 : takeoverMs - 2_000
        setTimeout(() => { child.kill('SIGCONT'); frozen.delete(child) }, forMs).unref()
      }
      await sleep(isLong ? 300 : 100)
    }
    await until(async () => (await house.tasks.jobs({ state: 'done', limit: 1_000 })).length >= Math.min(1_000, sent.length) && await count(house, 'effect') === sent.length, 180_000)
    await until(() => frozen.size === 0)
    await sleep(1_000)
    const rows = await house.postgres.any(sql.type(z.object({ job: z.string(), isWhole: z.boolean() }))`select job, is_whole as "isWhole" from public.effect`)
    assert.equal(rows.length, sent.length)
    assert.deepEqual(new Set(rows.map(({ job }) => job)), new Set(sent))
    assert.ok(rows.every(({ isWhole }) => isWhole))
    const outside = await count(house, 'outside')
    t.diagnostic(`${rounds} rounds, ${kills} kills, ${freezes} freezes: ${sent.length} jobs, ${rows.length} effects through tx, ${outside} outside of it`)
    assert.ok(outside >= sent.length)
  })

  test('no tick runs twice or is later than a takeover, while replicas are killed and frozen', async (t) => {
    const { url, house } = await prepare(t)
    const [members, interval, forMs] = isLong ? [10, '5s', 120_000] : [3, '1s', 6_000]
    const replicas = await Promise.all(Array.from({ length: members }, () => startReplica(t, url, 'ticking', interval)))
    const begunAt = Date.now()
    const hits: number[] = []
    let actions = 0
    const frozen = new Set<ChildProcess>()
    while (Date.now() < begunAt + forMs) {
      await sleep(isLong ? 3_000 : 2_000)
      // One in three in the middle of a run, as soon as one comes.
      const before = replicas.map(({ middles }) => middles())
      const isInMiddle = ({ middles }: Replica, at: number): boolean => middles() > (before[at] ?? 0)
      const wantsMiddle = actions % 3 === 0
      if (wantsMiddle) await until(() => replicas.some(isInMiddle), 7_000).catch(() => undefined)
      const victim = (wantsMiddle ? replicas.find(isInMiddle) : undefined) ?? pick(replicas)
      if (victim.middles() > (before[replicas.indexOf(victim)] ?? 0)) hits.push(Date.now())
      const child = victim.child()
      if (frozen.has(child) || (actions += 1) % 4 < 2) child.kill('SIGKILL')
      else if (frozen.size <= members / 2 - 1) {
        child.kill('SIGSTOP')
        frozen.add(child)
        setTimeout(() => { child.kill('SIGCONT'); frozen.delete(child) }, pick(isLong ? [500, 8_000, takeoverMs] : [500, 3_000])).unref()
      }
    }
    // Whoever was killed in the middle of a run is missed for so long.
    await sleep(isLong ? takeoverMs : 0)
    const countedAt = Date.now()
    const isRecent = async (): Promise<boolean> => await house.postgres.oneFirst(sql.type(z.object({ count: z.int() }))`
      select count(*) from public.effect where at > to_timestamp(${countedAt / 1_000}::float8)`) > 0
    await until(isRecent, takeoverMs + 10_000)
    const runs = await house.postgres.any(sql.type(z.object({ job: z.string(), at: z.number() }))`
      select job, extract(epoch from at)::float8 * 1000 as at from public.effect order by at`)
    assert.equal(new Set(runs.map(({ job }) => job)).size, runs.length, 'no tick twice')
    const gaps = runs.slice(1).map(({ at }, index) => ({ from: runs[index]?.at ?? NaN, ms: at - (runs[index]?.at ?? NaN) }))
    const longest = Math.max(...gaps.map(({ ms }) => ms))
    const deaths = replicas.reduce((sum, replica) => sum + replica.deaths(), 0)
    t.diagnostic(`${members} replicas, ${deaths} deaths, ${hits.length} times in the middle of a run: ${runs.length} runs, at most ${Math.round(longest)} ms apart`)
    // Whose run was hit is taken over, and that run may be hit, too. Then the next tick comes.
    for (const { from, ms } of gaps) {
      const hitsMeanwhile = hits.filter(at => at >= from - 1_000 && at <= from + ms).length
      assert.ok(ms < takeoverMs * Math.max(1, hitsMeanwhile) + 5_000, `${ms} ms between two runs, with ${hitsMeanwhile} hits`)
    }
  })

  test('jobs that throw, hang or kill their process are given up, and the good jobs are done', async (t) => {
    const { url, house } = await prepare(t)
    const good = isLong ? 100_000 : 500
    // Each death of a replica is one takeover.
    const mixed = queue('mixed', () => undefined, { retry: { limit: isLong ? 2 : 1 }, timeout: '1s' })
    const ids = new Map<string, string>()
    await assert.rejects(house.tasks.send('crew', mixed, 'x'.repeat(10_000_000)), { code: 'BULKHEAD_PAYLOAD_TOO_LARGE' })
    for (const poison of ['throw', 'hang', 'kill']) ids.set(poison, await house.tasks.send('crew', mixed, poison))
    for (let at = 0; at < good; at += 500) {
      await Promise.all(Array.from({ length: 500 }, (_, index) => house.tasks.send('crew', mixed, index % 100 === 0 ? 'effect' : 'good')))
    }
    const replicas = [await startReplica(t, url, 'poisoned'), await startReplica(t, url, 'poisoned')]
    const states = async (): Promise<Map<string, number>> => {
      const rows = await house.postgres.any(sql.type(z.object({ state: z.string(), count: z.int() }))`select state::text, count(*) from pgboss.job group by state`)
      return new Map(rows.map(({ state, count }) => [state, count]))
    }
    await until(async () => (await states()).get('failed') === 3 && (await states()).get('completed') === good, isLong ? 600_000 : 120_000)
      .catch(async (error: unknown) => { throw new Error(JSON.stringify([...await states()]), { cause: error }) })
    const dead = await house.tasks.jobs({ state: 'dead' })
    const errorOf = (poison: string): string => dead.find(({ id }) => id === ids.get(poison))?.error ?? ''
    assert.equal(errorOf('throw').length, 2_000)
    assert.match(errorOf('hang'), /ran longer than its 1000 ms/)
    assert.match(errorOf('kill'), /heartbeat timeout|timed out/)
    assert.equal(await count(house, 'effect'), good / 100)
    t.diagnostic(`${good} good jobs done, ${replicas.reduce((sum, { deaths }) => sum + deaths(), 0)} deaths`)
  })

  test('jobs of a killed or frozen replica are taken over in 20 s; a thawed one completes nothing', async (t) => {
    const held = queue('held', () => undefined)
    const begunAt = async (house: House, id: string, attempt: number): Promise<number> => {
      const runs = z.object({ at: z.number() })
      const row = await house.postgres.maybeOne(sql.type(runs)`
        select extract(epoch from at)::float8 * 1000 as at from public.effect where job = ${id} and attempt = ${attempt}`)
      return row?.at ?? 0
    }
    await Promise.all((['SIGKILL', 'SIGSTOP'] as const).map(async signal => {
      const { url, house } = await prepare(t)
      const victim = await startReplica(t, url, 'holding')
      const id = await house.tasks.send('crew', held, signal)
      await until(async () => await begunAt(house, id, 1) > 0)
      const child = victim.child()
      const lostAt = Date.now()
      child.kill(signal)
      // When the killed one is back it may take its own work over.
      if (signal === 'SIGSTOP') await startReplica(t, url, 'holding')
      await until(async () => await begunAt(house, id, 2) > 0)
      const tookMs = await begunAt(house, id, 2) - lostAt
      t.diagnostic(`${signal}: taken over after ${Math.round(tookMs)} ms`)
      assert.ok(tookMs < takeoverMs, `${signal}: ${tookMs} ms`)
      child.kill('SIGCONT')
      await until(async () => (await house.tasks.jobs({ state: 'done' })).some(job => job.id === id))
      assert.equal((await house.tasks.jobs()).find(job => job.id === id)?.attempt, 2)
    }))
  })
})
