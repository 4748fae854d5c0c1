// A failover between two real servers: which of them is written to, how soon, and that no connection stays with the demoted one.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { ServiceUnavailable, sql, z } from '../../../core/contract/index.ts'
import { openQueues } from '../../../core/tasks/queue/pg-boss-queues.ts'
import type { Queues } from '../../../core/tasks/queue/queue.ts'
import { createDatabase, serverUrl } from '../../support/database.ts'
import { clock, createLog } from '../../support/part.ts'
import { openTestPostgres } from '../../support/postgres.ts'
import { startPair, type Pair } from '../../support/postgres-pair.ts'
import { startProxy } from '../../support/proxy.ts'
import { undo } from '../../support/undo.ts'
import { until } from '../../support/until.ts'

const nothing = z.object({})
const insert = sql.type(nothing)`INSERT INTO public.kept VALUES (1)`
const findPort = sql.type(z.object({ port: z.int() }))`SELECT inet_server_port() AS port`
const create = 'CREATE TABLE public.kept (n int)'
const long = () => AbortSignal.timeout(20_000)

async function openTasksQueue (t: TestContext, connections: Parameters<typeof openQueues>[0]['connections']): Promise<Queues> {
  const queues = await openQueues({ connections, maxConnections: 2, historyHours: 1 }, { log: createLog(), clock })
  undo(t, () => queues.close())
  await queues.ensure('notes/one', 'standard')
  return queues
}

const send = (queues: Queues) => queues.send('notes/one', { retryLimit: 0, expireMs: 1_000 })
const holds = (work: () => Promise<unknown>) => async () => await work().then(() => true, () => false)

/** Every connection that the host has, in the pool and beside it, is to the second server. */
async function assertOnSecond (pair: Pair, host: Awaited<ReturnType<typeof openTestPostgres>>): Promise<void> {
  const found = await Promise.all(Array.from({ length: 8 }, () => host.postgres.oneFirst(findPort)))
  assert.deepEqual(new Set(found), new Set([pair.ports.second]))
  const text = "SELECT FROM pg_stat_activity WHERE application_name IN ('bulkhead', 'bulkhead tasks')"
  assert.deepEqual(await pair.ask(pair.ports.first, text), [])
}

test('of several servers in DATABASE_URL the one that takes writes is used, before and after a failover', async t => {
  const pair = await startPair(t)
  await pair.ask(pair.ports.first, create)
  const url = new URL(pair.url)
  // The standby stands first, so that the first one that answers is the wrong one.
  url.searchParams.set('host', '127.0.0.1,127.0.0.1')
  url.searchParams.set('port', `${pair.ports.second},${pair.ports.first}`)
  url.searchParams.set('target_session_attrs', 'read-write')
  const host = await openTestPostgres(t, { url: url.href })
  const queues = await openTasksQueue(t, host.client.forTasks)
  const heard: unknown[] = []
  queues.onJob(queue => heard.push(queue))
  await Promise.all(Array.from({ length: 4 }, () => host.postgres.query(insert)))
  await host.check(long())
  assert.equal(await host.postgres.oneFirst(findPort), pair.ports.first)

  await pair.failOver()
  await until(holds(() => host.postgres.query(insert)))
  await pair.returnAsStandby()
  await until(holds(() => host.check(long())))
  await until(holds(() => send(queues)))
  heard.length = 0
  await until(async () => {
    await send(queues).catch(() => undefined)
    return heard.includes('notes/one')
  })
  for (let times = 0; times < 20; times++) await host.postgres.query(insert)
  await assertOnSecond(pair, host)
})

test('an address that leads to the demoted server for a while leaves no connection there', async t => {
  const pair = await startPair(t)
  await pair.ask(pair.ports.first, create)
  const first = await startProxy(t, pair.ports.first)
  const url = new URL(pair.url)
  url.port = `${first.port}`
  const host = await openTestPostgres(t, { url: url.href })
  const queues = await openTasksQueue(t, host.client.forTasks)
  await Promise.all(Array.from({ length: 4 }, () => host.postgres.query(insert)))

  await pair.failOver()
  await pair.returnAsStandby()
  await assert.rejects(host.postgres.oneFirst(findPort), ServiceUnavailable)
  await assert.rejects(host.check(long()), /cannot be used: .*is a standby: it takes no writes/)
  await assert.rejects(send(queues))
  first.leadTo(pair.ports.second)
  await until(holds(() => host.check(long())))
  await until(holds(() => send(queues)))
  for (let times = 0; times < 20; times++) await host.postgres.query(insert)
  await assertOnSecond(pair, host)
})

/** Sessions of this URL are read-only: the option of a URL takes the place of the host's own default. */
function readOnly (database: string): string {
  const url = new URL(database)
  url.searchParams.set('options', '-c default_transaction_read_only=on')
  return url.href
}

test('a refused write ends the connection, and the health question replaces the others', async t => {
  const database = await createDatabase(t)
  const writer = await openTestPostgres(t, { url: database })
  await writer.postgres.query(sql.type(nothing)`CREATE TABLE public.kept (n int)`)
  const { postgres, check } = await openTestPostgres(t, { url: readOnly(database) })
  const findPid = sql.type(z.object({ pid: z.int() }))`SELECT pg_backend_pid() AS pid FROM pg_sleep(0.1)`
  const pids = async () => new Set(await Promise.all(Array.from({ length: 4 }, () => postgres.oneFirst(findPid))))
  const before = await pids()
  await assert.rejects(postgres.query(insert), ServiceUnavailable)
  await assert.rejects(check(long()), /cannot be used: it takes no writes/)
  const after = await pids()
  assert.deepEqual([...after].filter(pid => before.has(pid)), [])
})

test('a write in a transaction that asked to be read-only ends no connection, and is no 503', async t => {
  const database = await createDatabase(t)
  const { postgres, plugin } = await openTestPostgres(t, { url: database, poolMax: 2 })
  await postgres.query(sql.type(nothing)`CREATE TABLE public.kept (n int)`)
  const findPid = sql.type(z.object({ pid: z.int() }))`SELECT pg_backend_pid() AS pid`
  const pid = await plugin.oneFirst(findPid)
  for (const ask of [sql.type(nothing)`SET TRANSACTION READ ONLY`, sql.type(nothing)`SET LOCAL transaction_read_only = on`]) {
    await assert.rejects(plugin.transaction(async tx => {
      await tx.query(ask)
      await tx.query(insert)
    }), (error: unknown) => error instanceof Error && !(error instanceof ServiceUnavailable) && /asked to be read-only/.test(error.message))
  }
  assert.equal(await plugin.oneFirst(findPid), pid)
  await plugin.query(insert)
})

test('a connection that finds the server full waits for one that is open, and later ones open again', async t => {
  const database = await createDatabase(t)
  const { postgres: operator } = await openTestPostgres(t, { url: serverUrl() })
  const name = new URL(database).pathname.slice(1)
  const limit = (count: number) => operator.query({ ...sql.unsafe`SELECT`, sql: `ALTER DATABASE ${name} CONNECTION LIMIT ${count}` })
  const role = `limited_${name.slice(5, 25)}`
  await operator.query({ ...sql.unsafe`SELECT`, sql: `CREATE ROLE ${role} LOGIN PASSWORD 'x'` })
  undo(t, () => operator.query({ ...sql.unsafe`SELECT`, sql: `DROP ROLE ${role}` }))
  await limit(2)
  const url = new URL(database)
  url.username = role
  url.password = 'x'
  const { postgres, plugin } = await openTestPostgres(t, { url: url.href, poolMax: 8, acquireTimeoutMs: 20_000 })
  const sleep = sql.type(nothing)`SELECT pg_sleep(0.02)`
  await Promise.all(Array.from({ length: 40 }, (_, at) => (at % 2 === 0 ? postgres : plugin).query(sleep)))
  await limit(-1)
  const findPid = sql.type(z.object({ pid: z.int() }))`SELECT pg_backend_pid() AS pid FROM pg_sleep(0.2)`
  await until(async () => new Set(await Promise.all(Array.from({ length: 4 }, () => postgres.oneFirst(findPid)))).size === 4)
})
