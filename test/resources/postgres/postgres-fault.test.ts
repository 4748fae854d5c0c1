// What happens to callers while the database is slow, full, gone or silent, and how soon all is well again.

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { ServiceUnavailable, sql, z } from '../../../core/contract/index.ts'
import type { Postgres } from '../../../core/contract/index.ts'
import { openEmbeddedPostgres } from '../../../core/resources/embedded/embedded-postgres.ts'
import { findPostgresBinaries } from '../../../core/resources/embedded/postgres-binary.ts'
import { launchServer, stopServer } from '../../../core/resources/embedded/postgres-process.ts'
import { chooseServerUser } from '../../../core/resources/embedded/server-user.ts'
import { serverUrl } from '../../support/database.ts'
import { clock, openParts } from '../../support/part.ts'
import { openTestPostgres } from '../../support/postgres.ts'
import { startProxy } from '../../support/proxy.ts'
import { undo } from '../../support/undo.ts'
import { until } from '../../support/until.ts'

const nothing = z.object({})
const Pid = z.object({ pid: z.int() })
const sleep = (seconds: number) => sql.type(nothing)`SELECT pg_sleep(${seconds})`
const findPid = (postgres: Pick<Postgres, 'oneFirst'>) => postgres.oneFirst(sql.type(Pid)`SELECT pg_backend_pid() AS pid`)
const answers = (postgres: Postgres) => findPid(postgres).then(() => true, () => false)

async function openBehindProxy (t: TestContext, settings: Parameters<typeof openTestPostgres>[1] | object = {}) {
  const url = new URL(serverUrl())
  const proxy = await startProxy(t, Number(url.port))
  url.port = `${proxy.port}`
  const deadlines = { connectTimeoutMs: 2_000, acquireTimeoutMs: 500, statementTimeoutMs: 300 }
  return { proxy, ...await openTestPostgres(t, { url: url.href, ...deadlines, ...settings }) }
}

test('a statement that takes too long is ended by the server, and the connection goes on', async t => {
  const { plugin: postgres } = await openTestPostgres(t, { url: serverUrl(), poolMax: 1, statementTimeoutMs: 50 })
  const pid = await findPid(postgres)
  await assert.rejects(postgres.query(sleep(10)), ServiceUnavailable)
  assert.equal(await findPid(postgres), pid)
})

test('a statement that an operator cancels is 503', async t => {
  const { postgres } = await openTestPostgres(t, { url: serverUrl() })
  const sleeping = assert.rejects(postgres.query(sql.type(nothing)`SELECT pg_sleep(10) AS too_long`), ServiceUnavailable)
  const cancel = sql.type(nothing)`SELECT FROM pg_stat_activity WHERE query LIKE '%) AS too_long' AND pg_cancel_backend(pid)`
  await until(() => postgres.exists(cancel))
  await sleeping
})

test('while every connection is busy callers wait, then get 503, and a check is answered', async t => {
  const { postgres, check } = await openTestPostgres(t, { url: serverUrl(), poolMax: 2, acquireQueueMax: 3, acquireTimeoutMs: 100 })
  const busy = [postgres.query(sleep(0.5)), postgres.query(sleep(0.5))]
  const waiting = Array.from({ length: 3 }, () => assert.rejects(postgres.query(sleep(0)), ServiceUnavailable))
  let waited = false
  const waits = Promise.all(waiting).then(() => { waited = true })
  await assert.rejects(postgres.query(sleep(0)), ServiceUnavailable)
  assert.equal(waited, false)
  await check(AbortSignal.timeout(400))
  await waits
  await Promise.all(busy)
  await postgres.query(sleep(0))
})

test('a transaction that stands idle for too long is ended, and its place is free again', async t => {
  const { plugin: postgres } = await openTestPostgres(t, { url: serverUrl(), poolMax: 1, statementTimeoutMs: 500 })
  await assert.rejects(postgres.transaction(async tx => {
    await findPid(tx)
    await clock.sleep(1_500)
    await findPid(tx)
  }), ServiceUnavailable)
  assert.ok(await findPid(postgres))
})

test('after the server ends a session, the query in it is 503 and the next one is answered', async t => {
  const { plugin: postgres } = await openTestPostgres(t, { url: serverUrl(), poolMax: 1 })
  const { postgres: operator } = await openTestPostgres(t, { url: serverUrl() })
  const end = async (pid: number) => assert.equal(await operator.oneFirst(sql.type(z.object({ done: z.boolean() }))`SELECT pg_terminate_backend(${pid}, 1000) AS done`), true)

  const pid = await findPid(postgres)
  const sleeping = assert.rejects(postgres.query(sleep(10)), ServiceUnavailable)
  await until(() => operator.exists(sql.type(nothing)`SELECT FROM pg_stat_activity WHERE pid = ${pid} AND query LIKE '%pg_sleep%' AND state = 'active'`))
  await end(pid)
  await sleeping
  const next = await findPid(postgres)
  assert.notEqual(next, pid)

  await assert.rejects(postgres.transaction(async tx => {
    await end(await findPid(tx))
    await findPid(tx)
  }), ServiceUnavailable)
  await end(await findPid(postgres))
  await until(() => answers(postgres))
})

test('in a network that swallows everything callers get 503 by the deadline, until it heals', async t => {
  const { proxy, postgres, check } = await openBehindProxy(t)
  await Promise.all(Array.from({ length: 4 }, () => postgres.query(sleep(0.01))))
  proxy.hold()
  const asked = performance.now()
  const checking = assert.rejects(check(AbortSignal.timeout(5_000)))
  const refused = await Promise.all(Array.from({ length: 20 }, () => postgres.query(sleep(0)).then(() => undefined, (error: unknown) => error)))
  for (const error of refused) assert.ok(error instanceof ServiceUnavailable, String(error))
  await checking
  // The deadlines of this test add up to 3.8 s: waiting for a place 0.5, an answer 1.3, a connection 2. The network is silent for ever.
  assert.ok(performance.now() - asked < 20_000)
  proxy.pass()
  proxy.reset()
  await until(() => answers(postgres))
  await check(AbortSignal.timeout(20_000))
})

test('a transaction in a network that falls silent is 503, and its rollback is not waited for', async t => {
  const { proxy, postgres } = await openBehindProxy(t, { poolMax: 1 })
  const asked = performance.now()
  await assert.rejects(postgres.transaction(async tx => {
    await findPid(tx)
    proxy.hold()
    await findPid(tx)
  }), ServiceUnavailable)
  assert.ok(performance.now() - asked < 20_000)
  proxy.pass()
  await until(() => answers(postgres))
})

test('connections that are reset are 503 for the queries in them, and the next ones are answered', async t => {
  const { proxy, postgres } = await openBehindProxy(t, { statementTimeoutMs: 10_000 })
  const sleeping = Array.from({ length: 4 }, () => assert.rejects(postgres.query(sleep(10)), ServiceUnavailable))
  await clock.sleep(50)
  proxy.reset()
  await Promise.all(sleeping)
  await until(() => answers(postgres))
})

test('while PostgreSQL is down callers get 503 at once, and the first after its return succeeds', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'bulkhead-fault-'))
  const server = await openEmbeddedPostgres({ dataPath: folder, parameters: { fsync: 'off' } }, openParts())
  undo(t, async () => { await server.close(); await rm(folder, { recursive: true }) })
  const { postgres, check } = await openTestPostgres(t, { url: server.value.url })
  await Promise.all(Array.from({ length: 4 }, () => postgres.query(sleep(0.01))))

  await stopServer(server.value.pid, clock)
  for (let times = 0; times < 10; times++) await assert.rejects(postgres.query(sleep(0)), ServiceUnavailable)
  await assert.rejects(check(AbortSignal.timeout(1_000)))

  const { postgres: program } = await findPostgresBinaries()
  const parameters = { port: new URL(server.value.url).port, unix_socket_directories: '', fsync: 'off' }
  const again = { postgres: program, data: join(folder, 'postgres'), logPath: join(folder, 'postgres.log'), parameters }
  const user = await chooseServerUser(undefined, [program, dirname(program), folder])
  const pid = await launchServer({ ...again, user }, openParts())
  undo(t, () => stopServer(pid, clock))
  await postgres.query(sleep(0))
  await check(AbortSignal.timeout(20_000))
})
