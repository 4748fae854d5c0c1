// Tasks on a real PostgreSQL: one run a tick among replicas, what an end and a failure do, and what is refused.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once, EventEmitter } from 'node:events'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { TaskHandler, TaskOptions } from '../../core/contract/index.ts'
import type { TaskRecord } from '../../core/handover/task-record.ts'
import { openTasks, type TaskRunner } from '../../core/tasks/index.ts'
import { createDatabase } from '../support/database.ts'
import { createLog, openParts } from '../support/part.ts'
import { connectTasks } from '../support/postgres.ts'
import { freePort } from '../support/process.ts'
import { undo } from '../support/undo.ts'

const every = (name: string, interval: '100ms' | '1s', handler: TaskHandler, options: TaskOptions = {}): TaskRecord =>
  ({ kind: 'every', name, interval, options, handler })

interface Replica {
  register: TaskRunner['register']
  check: (signal: AbortSignal) => Promise<void>
  entries: LogEntry[]
}

/** A replica on the database, closed after the test: what a test registered is ended before. */
async function openReplica (t: TestContext, url: string): Promise<Replica> {
  const entries: LogEntry[] = []
  const resource = await openTasks(
    { connections: connectTasks(url), maxConnections: 3, historyHours: 1, drainMs: 50 },
    openParts({ log: createLog(entries) })
  )
  const ends = new Set<() => Promise<void>>()
  undo(t, async () => {
    await Promise.all([...ends].map(end => end()))
    await resource.close()
  })
  const register: TaskRunner['register'] = async registration => {
    const undo = await resource.value.register({ ...registration, log: createLog(entries) })
    const end = async (): Promise<void> => { ends.delete(end); await undo() }
    ends.add(end)
    return end
  }
  return { register, check: signal => resource.check(signal), entries }
}

interface LogEntry { message?: string, err?: Error, attemptId?: string }
const log = createLog()

/** Resolves once `count` runs have been seen. */
function counter (): { seen: () => void, reaches: (count: number) => Promise<void>, count: () => number } {
  const events = new EventEmitter()
  let count = 0
  return {
    seen: () => { count++; events.emit('seen') },
    count: () => count,
    reaches: async wanted => { while (count < wanted) await once(events, 'seen', { signal: AbortSignal.timeout(15_000) }) }
  }
}

void suite('tasks', { concurrency: 6 }, () => {
  test('each tick runs once among two replicas', async (t) => {
    const url = await createDatabase(t, { migrated: 'core' })
    const replicas = await Promise.all([openReplica(t, url), openReplica(t, url)])
    const runs = counter()
    const at: number[] = []
    const attempts = new Set<string>()
    const task = every('count', '1s', ({ attemptId, attempt }) => {
      at.push(Date.now())
      attempts.add(attemptId)
      assert.equal(attempt, 1)
      runs.seen()
    })
    await Promise.all(replicas.map(({ register }) => register({ plugin: 'notes', log, tasks: [task] })))
    await runs.reaches(4)
    await sleep(300)
    assert.equal(attempts.size, 4, 'four attempts, each with an id of its own')
    const gaps = at.slice(1).map((ms, index) => ms - (at[index] ?? 0))
    assert.ok(gaps.every(gap => gap > 500), `no two runs in one second: ${gaps.join(', ')} ms apart`)
    for (const { entries, check } of replicas) {
      assert.deepEqual(entries, [], 'nothing to complain about')
      await check(AbortSignal.timeout(5_000))
    }
  })

  test('a tick that comes while the run before still goes on is left out, in every replica', async (t) => {
    const url = await createDatabase(t, { migrated: 'core' })
    const replicas = await Promise.all([openReplica(t, url), openReplica(t, url)])
    let running = 0
    let most = 0
    const runs = counter()
    const task = every('slow', '1s', async () => {
      most = Math.max(most, ++running)
      await sleep(1_500)
      running--
      runs.seen()
    })
    await Promise.all(replicas.map(({ register }) => register({ plugin: 'notes', log, tasks: [task] })))
    await runs.reaches(2)
    assert.equal(most, 1)
  })

  test('the undo aborts the running handler, waits for it and takes no more ticks', async (t) => {
    const url = await createDatabase(t, { migrated: 'core' })
    const [first, second] = await Promise.all([openReplica(t, url), openReplica(t, url)])
    const started = Promise.withResolvers<undefined>()
    let left = false
    let firstRuns = 0
    const end = await first.register({ plugin: 'notes', log, tasks: [every('wait', '1s', async ({ signal }) => {
      firstRuns++
      started.resolve(undefined)
      await once(signal, 'abort')
      await sleep(50)
      left = true
      signal.throwIfAborted()
    })] })
    await started.promise
    await end()
    assert.equal(left, true)

    const again = Promise.withResolvers<number>()
    await second.register({ plugin: 'notes', log, tasks: [every('wait', '1s', ({ attempt }) => again.resolve(attempt))] })
    assert.equal(await again.promise, 2, 'the run that was cut short is the first that the other replica takes')
    assert.equal(firstRuns, 1)
    assert.match(first.entries.map(({ message }) => message).join(), /task "notes\/wait" was stopped before its end/)
  })

  test('a handler that throws is logged with its task and the next tick runs', async (t) => {
    const { register, entries } = await openReplica(t, await createDatabase(t, { migrated: 'core' }))
    const runs = counter()
    const thrown = [new Error('no ink'), null]
    await register({ plugin: 'notes', log, tasks: [every('print', '1s', () => {
      runs.seen()
      if (runs.count() <= thrown.length) throw thrown[runs.count() - 1] as Error
    })] })
    await runs.reaches(3)
    assert.deepEqual(entries.map(({ message, err }) => [message, err]), [
      ['task "notes/print" failed', thrown[0]], ['task "notes/print" failed', new Error('threw null, which is not an Error', { cause: null })]
    ])
  })

  test('a run that is over its time is aborted and counts as failed', async (t) => {
    const { register, entries } = await openReplica(t, await createDatabase(t, { migrated: 'core' }))
    const aborted = Promise.withResolvers<unknown>()
    const end = await register({ plugin: 'notes', log, tasks: [every('dawdle', '1s', async ({ signal }) => {
      await once(signal, 'abort')
      aborted.resolve(signal.reason)
    }, { timeout: '100ms' })] })
    assert.match(String(await aborted.promise), /"notes\/dawdle" ran longer than its 100 ms/)
    await end()
    assert.equal(entries[0]?.message, 'task "notes/dawdle" failed')
  })

  test('a task of each replica runs in both and asks nothing of the database', async (t) => {
    const url = 'postgres://nobody@127.0.0.1:1/nowhere'
    const replicas = await Promise.all([openReplica(t, url), openReplica(t, url)])
    await Promise.all(replicas.map(async ({ register }) => {
      const runs = counter()
      const end = await register({ plugin: 'notes', log, tasks: [every('own', '100ms', () => runs.seen(), { once: 'replica' })] })
      await runs.reaches(3)
      await end()
      const before = runs.count()
      await sleep(250)
      assert.equal(runs.count(), before)
    }))
  })

  test('a cron expression or a zone that cannot be read is refused with the task\'s name', async (t) => {
    const { register } = await openReplica(t, 'postgres://nobody@127.0.0.1:1/nowhere')
    const cron = (name: string, expression: string, timezone?: string): TaskRecord =>
      ({ kind: 'cron', name, expression, options: timezone === undefined ? {} : { timezone }, handler: () => undefined })
    await assert.rejects(register({ plugin: 'notes', log, tasks: [cron('late', '61 * * * *'), cron('lost', '0 3 * * *', 'Mars/Base')] }), {
      code: 'BULKHEAD_TASKS_INVALID',
      message: /task "late": "61 \* \* \* \*" in UTC cannot be read: .*0-59[^]*task "lost": .*Mars\/Base/
    })
  })

  test('a database that is away refuses the registration; once it is back the same one is taken', async (t) => {
    const database = new URL(await createDatabase(t, { migrated: 'core' }))
    const url = new URL(database)
    url.port = String(await freePort())
    const { register } = await openReplica(t, url.href)
    const runs = counter()
    const registration = { plugin: 'notes', log, tasks: [every('count', '1s', runs.seen)] }
    await assert.rejects(register(registration), { message: /The task queue did not start/ })

    const proxy = createServer(socket => {
      const upstream = connect(Number(database.port), database.hostname)
      socket.pipe(upstream).pipe(socket)
      for (const end of [socket, upstream]) end.on('error', () => { socket.destroy(); upstream.destroy() })
    }).listen(Number(url.port), '127.0.0.1')
    undo(t, () => proxy.close())
    await once(proxy, 'listening')
    await register(registration)
    await runs.reaches(1)
  })

  test('connections that are cut are complained about and the ticks go on', async (t) => {
    const url = await createDatabase(t, { migrated: 'core' })
    const { register, entries } = await openReplica(t, url)
    const runs = counter()
    await register({ plugin: 'notes', log, tasks: [every('count', '1s', runs.seen)] })
    await runs.reaches(1)
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    const { rowCount } = await client.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = \'bulkhead tasks\' AND datname = current_database()')
    await client.end()
    assert.ok(rowCount !== null && rowCount > 0, 'the connections carry a name')
    await runs.reaches(3)
    assert.ok(entries.some(({ err }) => err !== undefined))
  })

  test('the run of a replica that was killed is run again by another', { skip: process.env.BULKHEAD_LONG === undefined && 'waits out a heartbeat of 10 s; BULKHEAD_LONG=1 runs it' }, async (t) => {
    const url = await createDatabase(t, { migrated: 'core' })
    const child = spawn(process.execPath, [join(import.meta.dirname, 'runner-process.ts'), url], { stdio: ['ignore', 'pipe', 'inherit'] })
    undo(t, () => child.kill('SIGKILL'))
    const [line] = await once(child.stdout, 'data') as [Buffer]
    assert.equal(String(line), 'running 1\n')
    child.kill('SIGKILL')

    const { register } = await openReplica(t, url)
    const again = Promise.withResolvers<number>()
    await register({ plugin: 'notes', log, tasks: [every('wait', '1s', ({ attempt }) => again.resolve(attempt))] })
    assert.equal(await again.promise, 2)
  })
})
