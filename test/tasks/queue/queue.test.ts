// Queues on a real PostgreSQL: when a job is there, when it starts, how often it runs, what of it counts, and what an end does to it.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql, z, type Job } from '../../../core/contract/index.ts'
import { openTasks } from '../../../core/tasks/index.ts'
import { createDatabase } from '../../support/database.ts'
import { clock, createLog, openParts } from '../../support/part.ts'
import { connectTasks } from '../../support/postgres.ts'
import { startProxy } from '../../support/proxy.ts'
import { undo } from '../../support/undo.ts'
import { until } from '../../support/until.ts'
import { event, openHouse, queue, send, type House } from '../fixture.ts'

const makeTable = (house: House): Promise<unknown> => house.postgres.query(sql.unsafe`create table effect (job text, attempt int, note text)`)
const insert = (id: string, attempt: number) => sql.unsafe`insert into effect (job, attempt) values (${id}, ${attempt})`
const effects = async (house: House): Promise<readonly { job: string, attempt: number }[]> =>
  house.postgres.any(sql.type(z.object({ job: z.string(), attempt: z.int() }))`select job, attempt from effect order by job, attempt`)
const stateOf = async (house: House, id: string): Promise<Job | undefined> => (await house.tasks.jobs()).find(job => job.id === id)

void suite('queues', { concurrency: 6 }, () => {
  test('a job is there if and only if the transaction it was sent in commits', async (t) => {
    const house = await openHouse(t, await createDatabase(t, { migrated: 'core' }))
    const seen: unknown[] = []
    const deliver = queue('deliver', ({ input }) => { seen.push(input) })
    await house.register('notes', deliver)
    await assert.rejects(house.postgres.transaction(async tx => {
      await send(house, deliver, { to: 'nobody' }, { in: tx })
      await send(house, deliver, { to: 'nobody' }, { in: tx, key: 'a' })
      throw new Error('no')
    }), /no/)
    await house.postgres.transaction(async tx => {
      await send(house, deliver, { to: 'ada' }, { in: tx })
      await send(house, deliver, { to: 'bob' }, { in: tx, key: 'a' })
      await sleep(300)
      assert.deepEqual(seen, [], 'not before the commit')
    })
    await until(() => seen.length === 2)
    await sleep(200)
    assert.deepEqual(seen.map(input => (input as { to: string }).to).toSorted(), ['ada', 'bob'])
  })

  test('a job starts long before the next poll, whichever replica it was sent from', async (t) => {
    const url = await createDatabase(t, { migrated: 'core' })
    const [sender, worker] = [await openHouse(t, url), await openHouse(t, url)]
    const started = new Map<unknown, number>()
    const deliver = queue('deliver', ({ input }) => { started.set(input, performance.now()) })
    await worker.register('notes', deliver)
    await sleep(300)
    const delays: number[] = []
    for (let at = 0; at < 10; at += 1) {
      const sentAt = performance.now()
      await send(sender, deliver, at)
      await until(() => started.has(at))
      delays.push((started.get(at) ?? NaN) - sentAt)
    }
    const median = delays.toSorted((a, b) => a - b)[5] ?? NaN
    assert.ok(median < 500, `half of them within ${median} ms; a look comes every 2,000`)
  })

  test('a job waits until it is due, and the more important goes first', async (t) => {
    const house = await openHouse(t, await createDatabase(t, { migrated: 'core' }))
    const seen: unknown[] = []
    const deliver = queue('deliver', ({ input }) => { seen.push(input) }, { concurrency: 1 })
    await send(house, deliver, 'later', { after: '1s' })
    for (const [input, priority] of [['low', 1], ['high', 9], ['middle', 5]] as const) await send(house, deliver, input, { priority })
    await house.register('notes', deliver)
    // On a busy machine the fourth may be due already when the first is claimed.
    await until(() => seen.length >= 3)
    assert.deepEqual(seen.slice(0, 3), ['high', 'middle', 'low'])
    await until(() => seen.length === 4)
  })

  test('no more run at a time than the queue says, and all do', async (t) => {
    const house = await openHouse(t, await createDatabase(t, { migrated: 'core' }))
    let [running, most, ended] = [0, 0, 0]
    const deliver = queue('deliver', async () => {
      most = Math.max(most, ++running)
      await sleep(20)
      running--
      ended++
    }, { concurrency: 3 })
    await Promise.all(Array.from({ length: 30 }, (_, at) => send(house, deliver, at)))
    await house.register('notes', deliver)
    await until(() => ended === 30)
    assert.equal(most, 3)
    await until(async () => (await house.tasks.jobs({ state: 'done' })).length === 30)
  })

  test('jobs of one key run one at a time in the order sent; a failed one holds back only its key', async (t) => {
    const house = await openHouse(t, await createDatabase(t, { migrated: 'core' }))
    const seen: string[] = []
    let running = 0
    const deliver = queue('deliver', async ({ input, attempt }: { input: string, attempt: number }) => {
      if (input.startsWith('a')) assert.equal(++running, 1)
      await sleep(5)
      if (input.startsWith('a')) running--
      seen.push(input)
      if (input === 'a1' && attempt === 1) throw new Error('not yet')
    }, { retry: { delay: '500ms', backoff: 'fixed' } })
    await house.postgres.transaction(async tx => {
      for (const input of ['a0', 'a1', 'b0', 'a2', 'a3']) await send(house, deliver, input, { in: tx, key: input.slice(0, 1) })
    })
    await send(house, deliver, 'a4', { key: 'a' })
    await house.register('notes', deliver)
    await until(() => seen.length === 7)
    assert.deepEqual(seen.filter(input => input.startsWith('a')), ['a0', 'a1', 'a1', 'a2', 'a3', 'a4'])
    assert.ok(seen.indexOf('b0') < seen.lastIndexOf('a1'), 'another key does not wait')
  })

  test('a dead letter counts the jobs it holds back, and jobs of a removed plugin can be ended', async (t) => {
    const house = await openHouse(t, await createDatabase(t, { migrated: 'core' }))
    const seen: string[] = []
    const deliver = queue('deliver', ({ input }: { input: string }) => {
      if (input === 'bad') throw new Error('never')
      seen.push(input)
    }, { retry: { limit: 0 } })
    const end = await house.register('notes', deliver, event('note.gone', () => undefined))
    for (const [key, inputs] of [['a', ['bad', 'a1', 'a2']], ['b', ['b0']]] as const) for (const input of inputs) await send(house, deliver, input, { key })
    await until(async () => seen.includes('b0') && (await house.tasks.jobs({ state: 'dead' })).length === 1)
    const [dead] = await house.tasks.jobs({ state: 'dead' })
    assert.deepEqual([dead?.key, dead?.holdsBack], ['a', 2])
    assert.deepEqual((await house.tasks.jobs()).filter(({ holdsBack }) => holdsBack > 0).length, 1)
    await assert.rejects(house.tasks.forgetPlugin('notes'), { code: 'BULKHEAD_CONFLICT', message: /"notes" is at work here/ })

    await end()
    await house.tasks.publish('notes', 'note.gone', 1)
    const forgotten = await house.tasks.forgetPlugin('notes')
    assert.deepEqual(forgotten.map(({ task, state }) => `${task} ${state}`).toSorted(), ['notes/deliver cancelled', 'notes/deliver cancelled', 'notes/on/note.gone cancelled'])
    await house.tasks.publish('notes', 'note.gone', 2)
    assert.deepEqual(await house.tasks.jobs({ state: 'waiting' }), [])
    assert.equal((await house.tasks.jobs({ state: 'cancelled' })).length, 3)
    assert.deepEqual(await house.tasks.forgetPlugin('nobody'), [])
  })

  test('events of one key keep the order of the changes when two transactions wait on each other', async (t) => {
    const house = await openHouse(t, await createDatabase(t, { migrated: 'core' }))
    const seen: unknown[] = []
    const deliver = queue('deliver', ({ input }) => { seen.push(input) })
    const begun = Promise.withResolvers<undefined>()
    const second = Promise.withResolvers<undefined>()
    const early = house.postgres.transaction(async tx => {
      await tx.query(sql.unsafe`select now()`)
      begun.resolve(undefined)
      await second.promise
      await send(house, deliver, 'second', { in: tx, key: 'thing' })
    })
    await begun.promise
    await house.postgres.transaction(async tx => { await send(house, deliver, 'first', { in: tx, key: 'thing' }) })
    second.resolve(undefined)
    await early
    await house.register('notes', deliver)
    await until(() => seen.length === 2)
    assert.deepEqual(seen, ['first', 'second'])
  })

  test('a failed job is retried with its delay, then is a dead letter that can be run by hand', async (t) => {
    const house = await openHouse(t, await createDatabase(t, { migrated: 'core' }), { mask: text => text.replace('hunter2', '[secret]') })
    const at: number[] = []
    let isMended = false
    const deliver = queue('deliver', ({ attempt }) => {
      at.push(performance.now())
      assert.ok(isMended || attempt === at.length)
      if (!isMended) throw new TypeError(`no route, hunter2 ${'x'.repeat(10_000)}`)
    }, { retry: { limit: 2, backoff: 'fixed', delay: '300ms' } })
    await house.register('notes', deliver)
    const id = await send(house, deliver, 1)
    await until(async () => (await stateOf(house, id))?.state === 'dead')
    const job = await stateOf(house, id)
    assert.equal(at.length, 3)
    const gaps = at.slice(1).map((ms, index) => ms - (at[index] ?? 0))
    assert.ok(gaps.every(gap => gap > 200), `apart by ${gaps.join(', ')} ms`)
    assert.deepEqual([job?.task, job?.attempt, job?.attemptsMax, job?.error?.slice(0, 29), job?.error?.length], ['notes/deliver', 3, 3, 'TypeError: no route, [secret]', 2_000])
    await assert.rejects(house.tasks.retryJob('00000000-0000-0000-0000-000000000000'), { code: 'BULKHEAD_NOT_FOUND' })

    isMended = true
    await house.tasks.retryJob(id)
    await until(async () => (await stateOf(house, id))?.state === 'done')
    await assert.rejects(house.tasks.retryJob(id), { code: 'BULKHEAD_CONFLICT', message: /done/ })
    await assert.rejects(house.tasks.cancelJob(id), { code: 'BULKHEAD_CONFLICT' })
  })

  test('work through tx counts once: it goes with a failed attempt and comes with the completion', async (t) => {
    const house = await openHouse(t, await createDatabase(t, { migrated: 'core' }))
    await makeTable(house)
    const deliver = queue('deliver', async ({ id, attempt, tx }) => {
      await tx.query(insert(id, attempt))
      await tx.transaction(async inner => { await inner.query(insert(id, attempt)) })
      if (attempt === 1) throw new Error('after the effect')
    }, { retry: { delay: 1 } })
    await house.register('notes', deliver)
    const id = await send(house, deliver, 1)
    await until(async () => (await stateOf(house, id))?.state === 'done')
    assert.deepEqual(await effects(house), [{ job: id, attempt: 2 }, { job: id, attempt: 2 }])
  })

  test('a run whose claim is lost is aborted, and what it did through tx is refused', async (t) => {
    const house = await openHouse(t, await createDatabase(t, { migrated: 'core' }))
    await makeTable(house)
    const begun = Promise.withResolvers<undefined>()
    const aborted = Promise.withResolvers<unknown>()
    const goOn = Promise.withResolvers<undefined>()
    const deliver = queue('deliver', async ({ id, attempt, tx, signal }) => {
      if (attempt > 1) return
      await tx.query(insert(id, attempt))
      begun.resolve(undefined)
      signal.addEventListener('abort', () => aborted.resolve(signal.reason))
      await goOn.promise
    }, { concurrency: 2 })
    await house.register('notes', deliver)
    const id = await send(house, deliver, 1)
    await begun.promise
    // The supervisor takes a claim away whose heartbeat has ceased; this one goes on, so it may be in time to beat again.
    const cease = sql.unsafe`update pgboss.job set heartbeat_on = now() - interval '1 minute' where id = ${id}::uuid and state = 'active' and retry_count = 0`
    await until(async () => {
      await house.postgres.query(cease)
      return (await stateOf(house, id))?.state === 'done'
    })
    assert.match(String(await aborted.promise), /taken over by another replica/)
    goOn.resolve(undefined)
    await until(() => house.entries.some(({ message }) => message?.includes('rolled back') === true))
    assert.deepEqual(await effects(house), [])
    assert.equal((await stateOf(house, id))?.attempt, 2)
  })

  test('a run that goes on although its claim is lost cannot complete, with tx or without', async (t) => {
    const house = await openHouse(t, await createDatabase(t, { migrated: 'core' }))
    await makeTable(house)
    let attempts = 0
    const steal = async (id: string): Promise<void> => {
      await house.postgres.query(sql.unsafe`update pgboss.job set state = 'retry', started_on = started_on where id = ${id}::uuid`)
    }
    const withTx = queue('with', async ({ id, attempt, tx }) => {
      attempts++
      await tx.query(insert(id, attempt))
      if (attempt === 1) await steal(id)
    })
    const without = queue('without', async ({ id, attempt }) => {
      attempts++
      if (attempt === 1) await steal(id)
    })
    await house.register('notes', withTx, without)
    const ids = [await send(house, withTx, 1), await send(house, without, 1)]
    for (const id of ids) await until(async () => (await stateOf(house, id))?.state === 'done')
    assert.equal(attempts, 4)
    assert.deepEqual(await effects(house), [{ job: ids[0], attempt: 2 }])
    for (const id of ids) assert.equal((await stateOf(house, id))?.attempt, 2)
  })

  test('an ending plugin claims nothing more, and its jobs go back at once without a failure', async (t) => {
    const url = await createDatabase(t, { migrated: 'core' })
    const [first, second] = [await openHouse(t, url), await openHouse(t, url)]
    let held = 0
    const late = Promise.withResolvers<undefined>()
    undo(t, () => late.resolve(undefined))
    const minds = queue('minds', async ({ signal }) => { held++; await once(signal, 'abort'); signal.throwIfAborted() }, { retry: { limit: 0 }, concurrency: 20 })
    const hangs = queue('hangs', async () => { held++; await late.promise }, { retry: { limit: 0 }, concurrency: 20 })
    const finishes = queue('finishes', async () => { held++; await sleep(100) }, { retry: { limit: 0 } })
    const end = await first.register('notes', minds, hangs, finishes)
    const ids = await Promise.all([minds, hangs].flatMap(record => Array.from({ length: 10 }, (_, at) => send(first, record, at))))
    const finishing = await send(first, finishes, 1)
    await until(() => held === 21)
    const endedAt = performance.now()
    await end()
    assert.ok(performance.now() - endedAt < 5_000)
    const states = await first.tasks.jobs()
    assert.deepEqual(states.filter(({ id }) => ids.includes(id)).map(({ state }) => state), Array(20).fill('retrying'))
    assert.equal(states.find(({ id }) => id === finishing)?.state, 'done', 'what finishes within the drain is done')

    const waiting = await send(first, minds, 'later')
    await sleep(300)
    assert.equal((await stateOf(first, waiting))?.state, 'waiting')
    const done: string[] = []
    const takes = (name: string) => queue(name, ({ id }) => { done.push(id) }, { retry: { limit: 0 }, concurrency: 20 })
    await second.register('notes', takes('minds'), takes('hangs'))
    await until(() => done.length === 21)
    assert.deepEqual(new Set(done), new Set([...ids, waiting]))
  })

  test('a plugin that ends while the database is away says so, and nothing of it goes on', async (t) => {
    const database = await createDatabase(t, { migrated: 'core' })
    const house = await openHouse(t, database)
    const proxy = await startProxy(t, Number(new URL(database).port))
    const url = Object.assign(new URL(database), { port: String(proxy.port) }).href
    let sleeping = 0
    const sleep: typeof clock.sleep = async (...args) => { sleeping++; await clock.sleep(...args).finally(() => { sleeping-- }) }
    const resource = await openTasks(
      { connections: connectTasks(url), maxConnections: 2, historyHours: 1, drainMs: 50 },
      openParts({ clock: { ...clock, sleep } })
    )
    let closing: Promise<void> | undefined
    const close = (): Promise<void> => (closing ??= resource.close())
    undo(t, close)
    const late = Promise.withResolvers<undefined>()
    undo(t, () => late.resolve(undefined))
    let isBegun = false
    const hangs = queue('hangs', async () => { isBegun = true; await late.promise })
    const end = await resource.value.register({ plugin: 'notes', log: createLog(), tasks: [hangs] })
    await send(house, hangs, 1)
    await until(() => isBegun)
    await proxy.refuse()
    await assert.rejects(end(), /tasks of plugin "notes" could not be ended in order/)
    await close()
    await until(() => sleeping === 0)
  })

  test('a run that ignores its time-out is not waited for any longer, and is retried', async (t) => {
    const house = await openHouse(t, await createDatabase(t, { migrated: 'core' }))
    const late = Promise.withResolvers<undefined>()
    undo(t, () => late.resolve(undefined))
    let attempts = 0
    const hang = queue('hang', async () => { if (++attempts === 1) await late.promise }, { timeout: '100ms', concurrency: 1, retry: { delay: 1 } })
    await house.register('notes', hang)
    const id = await send(house, hang, 1)
    await until(async () => (await stateOf(house, id))?.state === 'done')
    assert.match(house.entries.map(({ message }) => message).join('\n'), /ignores its signal/)
  })

  test('jobs that wait, run or are dead can be cancelled', async (t) => {
    const house = await openHouse(t, await createDatabase(t, { migrated: 'core' }))
    const aborted: unknown[] = []
    const deliver = queue('deliver', async ({ signal, input }) => {
      if (input === 'throw') throw new Error('never')
      await once(signal, 'abort')
      aborted.push(input)
    }, { retry: { limit: 0 } })
    await house.register('notes', deliver)
    const [waits, runs, dies] = [await send(house, deliver, 'wait', { after: '1d' }), await send(house, deliver, 'run'), await send(house, deliver, 'throw')]
    assert.equal((await house.tasks.cancelJob(waits)).state, 'cancelled')
    await until(async () => (await stateOf(house, runs))?.state === 'running')
    assert.equal((await house.tasks.cancelJob(runs)).state, 'cancelled')
    await until(() => aborted.length === 1)
    assert.equal((await stateOf(house, runs))?.state, 'cancelled')
    await until(async () => (await stateOf(house, dies))?.state === 'dead')
    assert.equal((await house.tasks.cancelJob(dies)).state, 'cancelled')
    assert.equal(await stateOf(house, dies), undefined, 'a dead letter that is discarded is gone')
  })

  test('what cannot be sent is refused with what is wrong', async (t) => {
    const house = await openHouse(t, await createDatabase(t, { migrated: 'core' }))
    const deliver = queue('deliver', () => undefined)
    await assert.rejects(send(house, deliver, 'x'.repeat(1_000_001)), { code: 'BULKHEAD_PAYLOAD_TOO_LARGE', message: /storage/ })
    await assert.rejects(send(house, deliver, 'a\u0000b'), { code: 'BULKHEAD_VALIDATION_FAILED', message: /NUL/ })
    await send(house, deliver, 'a\\u0000b')
    for (const [options, path] of [[{ key: '' }, 'key'], [{ after: 'soon' }, 'after'], [{ priority: 0.5 }, 'priority'], [{ in: {} }, 'in']] as const) {
      await assert.rejects(send(house, deliver, 1, options as object), { code: 'BULKHEAD_VALIDATION_FAILED', message: new RegExp(`"${path}"`) })
    }
    const away = await openTasks(
      { connections: connectTasks('postgres://nobody@127.0.0.1:1/nowhere'), maxConnections: 1, historyHours: 1, drainMs: 1 },
      openParts()
    )
    await assert.rejects(away.value.send('notes', deliver, 1), { code: 'BULKHEAD_SERVICE_UNAVAILABLE' })
  })

  test('what was claimed ahead does not wait behind runs that hang, but goes to another replica', async (t) => {
    const url = await createDatabase(t, { migrated: 'core' })
    const [first, second] = [await openHouse(t, url), await openHouse(t, url)]
    let [before, after, hanging] = [0, 0, 0]
    const hangs = queue('deliver', async ({ signal }) => {
      if (before < 200) { before += 1; return }
      hanging += 1
      await once(signal, 'abort')
      signal.throwIfAborted()
    }, { concurrency: 2 })
    for (let at = 0; at < 6; at += 1) await Promise.all(Array.from({ length: 100 }, () => send(first, hangs, 1)))
    await first.register('notes', hangs)
    await until(() => hanging === 2)
    await second.register('notes', queue('deliver', () => { after += 1 }))
    await until(() => after === 398)
    assert.deepEqual([before, hanging], [200, 2])
  })

  test('a flood of jobs, keyed or not, takes no connection that heartbeats need and loses none', async (t) => {
    const house = await openHouse(t, await createDatabase(t, { migrated: 'core' }), { maxConnections: 2 })
    const deliver = queue('deliver', () => undefined)
    // Nothing is known of the queues yet: pg-boss asks for them while the transactions of the first jobs hold connections.
    await Promise.all(Array.from({ length: 20 }, (_, at) => send(house, deliver, at, { key: `k${at}` })))
    let sent = 0
    const flood = Promise.all(Array.from({ length: 400 }, async (_, at) => { await send(house, deliver, at); sent += 1 }))
    while (sent === 0) await new Promise(setImmediate)
    await house.tasks.jobs({ limit: 1 })
    assert.ok(sent < 200, `${sent} of 400 were sent before an answer came`)
    await flood
    const count = await house.postgres.oneFirst(sql.type(z.object({ count: z.int() }))`select count(*) from pgboss.job where name like 'notes/deliver%'`)
    assert.equal(count, 420)
  })

  test('a handler that outlives its run does nothing through tx, even one it had asked for before', async (t) => {
    const house = await openHouse(t, await createDatabase(t))
    await makeTable(house)
    const refusals: unknown[] = []
    const deliver = queue('deliver', async (run) => {
      const early = run.input === 'early' ? run.tx : undefined
      const after = async (): Promise<unknown> => {
        await sleep(200)
        return (early ?? run.tx).query(insert(run.id, 1))
      }
      after().catch((error: unknown) => { refusals.push((error as Error).message) })
    })
    await house.register('notes', deliver)
    for (const input of ['early', 'late']) await send(house, deliver, input)
    await until(() => refusals.length === 2)
    for (const refusal of refusals) assert.match(String(refusal), /This run has ended: await every statement/)
    assert.deepEqual(await effects(house), [])
  })

  test('without the database in the manifest the use of tx says what to add', async (t) => {
    const house = await openHouse(t, await createDatabase(t, { migrated: 'core' }))
    const deliver = queue('deliver', async ({ tx }) => { await tx.query(sql.unsafe`select 1`) }, { retry: { limit: 0 } })
    const end = await house.tasks.register({ plugin: 'notes', log: createLog(), tasks: [deliver] })
    undo(t, () => end())
    const id = await send(house, deliver, 1)
    await until(async () => (await stateOf(house, id))?.state === 'dead')
    assert.match((await stateOf(house, id))?.error ?? '', /add "postgres" to "resources"/)
  })
})
