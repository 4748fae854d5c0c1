// How units come up: order, budgets, attempts, and what happens to those whose needs do not.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UnitHeld, InvalidUnits, RequiredUnitFailed, StartStopped } from '../../core/kernel/index.ts'
import { createHouse, hangs } from './fixture.ts'

test('a unit starts as soon as all it needs runs, and independent ones start together', async () => {
  const { kernel, clock, unit, journal } = createHouse()
  const started = kernel.start([
    unit('web', { needs: ['database', 'cache'] }), unit('database', { opensMs: 100 }), unit('cache', { opensMs: 30 })
  ])
  await clock.runAll()
  await started
  assert.deepEqual(journal, ['0 database opens', '0 cache opens', '30 cache opened', '100 database opened', '100 web opens', '110 web opened'])
})

test('units of a later call may need those of an earlier one, whether these run already or not', async () => {
  const { kernel, clock, unit, journal, state } = createHouse()
  const resources = kernel.start([unit('database', { opensMs: 50 }), unit('cache')])
  await clock.advance(20)
  const plugins = kernel.start([unit('notes', { needs: ['database', 'cache'] })])
  await clock.runAll()
  await Promise.all([resources, plugins])
  assert.equal(journal.at(-2), '50 notes opens')
  assert.equal(state('notes'), 'running')
})

test('"after" is order only: it waits until the other unit has settled, and ignores unknown ids', async () => {
  const { kernel, clock, unit, journal, state } = createHouse()
  const started = kernel.start([
    unit('notify', { start: async () => { await clock.sleep(40); throw new Error('no mail server') } }),
    unit('invoices', { after: ['notify', 'nobody'] })
  ])
  await clock.runAll()
  await started
  assert.deepEqual([state('notify'), state('invoices')], ['failed', 'running'])
  assert.equal(journal[0], '40 invoices opens')
})

test('a dependent of a failed unit is held, not failed, and its reason shows the path to it', async () => {
  const { kernel, clock, unit, state, reason, journal } = createHouse()
  const started = kernel.start([
    unit('invoices', { needs: ['billing'] }), unit('billing', { needs: ['mailer'] }),
    unit('mailer', { start: () => { throw new Error('connect ECONNREFUSED 127.0.0.1:25') } })
  ])
  await clock.runAll()
  const report = await started
  assert.deepEqual(['mailer', 'billing', 'invoices'].map(state), ['failed', 'held', 'held'])
  assert.equal(reason('invoices'), 'invoices → billing → mailer (connect ECONNREFUSED 127.0.0.1:25)')
  assert.deepEqual(journal, [])
  assert.equal(report.units.find(({ id }) => id === 'invoices')?.error?.message, 'connect ECONNREFUSED 127.0.0.1:25')
})

test('a unit is held at once, also while another need of it is starting and in a later call', async () => {
  const { kernel, clock, unit, state } = createHouse()
  const slow = kernel.start([unit('slow', { opensMs: 500 }), unit('broken', { start: () => { throw new Error('broken') } })])
  const early = kernel.start([unit('early', { needs: ['slow', 'broken'] })])
  await clock.advance(0)
  await early
  await kernel.start([unit('late', { needs: ['slow', 'early'] })])
  assert.deepEqual(['slow', 'early', 'late'].map(state), ['starting', 'held', 'held'])
  await clock.runAll()
  await slow
})

test('a start that finds something missing outside can report itself held, and is not retried', async () => {
  const { kernel, clock, unit, state, reason, steps } = createHouse()
  const started = kernel.start([
    unit('kubernetes', {
      retry: { firstMs: 100, maxMs: 100 },
      start: ({ undo }) => {
        undo('forget', () => undefined)
        throw new UnitHeld('there is no cluster')
      }
    }),
    unit('operator', { needs: ['kubernetes'] })
  ])
  await clock.runAll()
  await started
  assert.deepEqual([state('kubernetes'), reason('kubernetes')], ['held', 'there is no cluster'])
  assert.equal(reason('operator'), 'operator → kubernetes (there is no cluster)')
  assert.deepEqual(steps.map(({ name }) => name), ['forget'])
})

test('all problems of a set of units are told together, and nothing starts', async () => {
  const { kernel, unit, journal } = createHouse()
  await kernel.start([unit('database', { start: () => undefined })])
  const refused = kernel.start([
    unit('a', { needs: ['b'] }), unit('b', { needs: ['c'] }), unit('c', { after: ['a'] }), unit('hangs on it', { needs: ['a'] }),
    unit('itself', { needs: ['itself'] }), unit('orphan', { needs: ['mother'] }), unit('twin'), unit('twin'), unit('database')
  ])
  await assert.rejects(refused, (error: unknown) => {
    assert.ok(error instanceof InvalidUnits)
    assert.equal(error.code, 'BULKHEAD_INVALID_UNITS')
    assert.deepEqual(error.problems, [
      'There are two units "twin".',
      'There are two units "database".',
      '"orphan" needs "mother", and there is no such unit.',
      'a → b → c → a is a cycle: each waits for the next, so none can start.',
      'itself → itself is a cycle: each waits for the next, so none can start.'
    ])
    return true
  })
  assert.deepEqual(journal, [])
  assert.deepEqual(kernel.units().map(({ id }) => id), ['database'])
})

test('a failed attempt is undone before the next, and the pause doubles up to its bound', async () => {
  const { kernel, clock, unit, write, journal, state } = createHouse()
  const started = kernel.start([unit('database', {
    retry: { firstMs: 100, maxMs: 300 },
    start: ({ attempt, undo }) => {
      write(`attempt ${attempt}`)
      undo('close', async () => { await clock.sleep(5); write('closed') })
      if (attempt < 5) throw new Error('the database is starting up')
    }
  })])
  await clock.runAll()
  const report = await started
  assert.deepEqual(journal, [
    '0 attempt 1', '5 closed', '105 attempt 2', '110 closed', '310 attempt 3', '315 closed', '615 attempt 4', '620 closed', '920 attempt 5'
  ])
  assert.equal(state('database'), 'running')
  assert.equal(report.units[0]?.attempts, 5)
  assert.equal(report.units[0].error, undefined)
})

test('an attempt over its budget gets an abort signal, is awaited until it ends, and is retried', async () => {
  const { kernel, clock, unit, write, journal, state } = createHouse()
  const started = kernel.start([unit('database', {
    attemptBudgetMs: 200,
    retry: { firstMs: 100, maxMs: 100 },
    start: async ({ attempt, signal }) => {
      write(`attempt ${attempt}`)
      if (attempt > 1) return
      await clock.sleep(1_000, signal).catch(async () => {
        await clock.sleep(30)
        write(`gave up: ${(signal.reason as Error).message}`)
      })
    }
  })])
  await clock.runAll()
  await started
  assert.deepEqual(journal, ['0 attempt 1', '230 gave up: start took longer than 200 ms', '330 attempt 2'])
  assert.equal(state('database'), 'running')
})

test('the start budget ends all attempts, and the reason holds their number and the last error', async () => {
  const { kernel, clock, unit, reason } = createHouse()
  const started = kernel.start([unit('database', {
    startBudgetMs: 1_000, retry: { firstMs: 100, maxMs: 200 }, start: () => { throw new Error('connect ECONNREFUSED') }
  })])
  await clock.runAll()
  const report = await started
  assert.equal(reason('database'), '6 attempts in 900 ms, the last one: connect ECONNREFUSED')
  assert.ok(report.totalMs <= 1_000)
})

test('an attempt that ran out of time is told with the last error of those before it', async () => {
  const { kernel, clock, unit, reason } = createHouse()
  const started = kernel.start([unit('database', {
    startBudgetMs: 1_000,
    retry: { firstMs: 100, maxMs: 100 },
    start: ({ attempt }) => {
      if (attempt === 1) throw new Error('password authentication failed')
      return hangs()
    }
  })])
  await clock.runAll()
  await started
  assert.equal(reason('database'), '2 attempts in 1000 ms, the last one: start took longer than 900 ms (last error: password authentication failed)')
})

test('a hung start keeps nobody waiting longer than its start budget', async () => {
  const { kernel, clock, unit, state, reason } = createHouse()
  const started = kernel.start([unit('hung', { startBudgetMs: 3_000, start: hangs }), unit('waits', { needs: ['hung'] })])
  await clock.advance(2_999)
  assert.equal(state('hung'), 'starting')
  await clock.advance(1)
  const report = await started
  assert.equal(report.totalMs, 3_000)
  assert.deepEqual([state('hung'), reason('hung'), state('waits')], ['failed', 'start took longer than 3000 ms', 'held'])
  await clock.runAll()
  assert.equal(clock.sleepers, 0)
})

test('whatever a start throws or rejects with becomes an error in words', async () => {
  const thrown: [unknown, string][] = [
    [null, 'threw null, which is not an Error'],
    [undefined, 'threw undefined, which is not an Error'],
    ['no', 'threw "no", which is not an Error'],
    [Symbol('x'), 'threw Symbol(x), which is not an Error'],
    [Object.create(null), 'threw an object, which is not an Error'],
    [Object.assign(new AggregateError([new Error('::1 refused'), new Error('127.0.0.1 refused')]), { code: 'ECONNREFUSED' }), '::1 refused; 127.0.0.1 refused'],
    [Object.assign(new Error(''), { code: 'ETIMEDOUT' }), 'ETIMEDOUT']
  ]
  const { kernel, clock, unit, reason, state } = createHouse()
  const started = kernel.start(thrown.flatMap(([value], index) => [

    unit(`throws ${index}`, { start: () => { throw value } }),
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- what the test is about
    unit(`rejects ${index}`, { start: () => Promise.reject(value) })
  ]))
  await clock.runAll()
  await started
  for (const [index, [, words]] of thrown.entries()) {
    for (const how of ['throws', 'rejects']) {
      assert.equal(state(`${how} ${index}`), 'failed')
      assert.equal(reason(`${how} ${index}`), words)
    }
  }
})

test('a required unit that fails aborts the other starts at once, and only the stop undoes them', async () => {
  const { kernel, clock, unit, write, journal, state, steps } = createHouse()
  const cause = new Error('the disk is full')
  const started = kernel.start([
    unit('storage', { required: true, start: async () => { await clock.sleep(100); throw cause } }),
    unit('database', { opensMs: 20 }),
    unit('slow', {
      start: async ({ signal, undo }) => {
        undo('close', () => write('slow closed'))
        await clock.sleep(60_000, signal).catch(() => write('slow gave up'))
      }
    }),
    unit('next', { needs: ['slow'] }),
    unit('later', { after: ['storage'] })
  ])
  const refused = assert.rejects(started, (error: unknown) => {
    assert.ok(error instanceof RequiredUnitFailed)
    assert.deepEqual([error.code, error.unit, error.reason, error.cause], ['BULKHEAD_REQUIRED_UNIT_FAILED', 'storage', 'the disk is full', cause])
    assert.equal(error.message, 'Required unit "storage" did not start: the disk is full')
    return true
  })
  await clock.advance(100)
  await refused
  assert.deepEqual(journal, ['0 database opens', '20 database opened', '100 slow gave up'])
  assert.deepEqual(steps, [])
  assert.deepEqual(['storage', 'database', 'slow', 'next', 'later'].map(state), ['failed', 'running', 'starting', 'waiting', 'waiting'])
  await assert.rejects(kernel.start([unit('more')]), RequiredUnitFailed)

  const stopped = kernel.stop('the start failed', { budgetMs: 1_000 })
  await clock.runAll()
  assert.equal((await stopped).outcome, 'clean')
  assert.deepEqual(journal.slice(3), ['100 database closes', '100 slow closed', '101 database closed'])
})

test('a required unit that is held ends the start, with the path and the error that held it', async () => {
  const { kernel, clock, unit } = createHouse()
  const cause = new Error('no mail server')
  const refused = assert.rejects(kernel.start([
    unit('mailer', { start: () => { throw cause } }), unit('invoices', { needs: ['mailer'], required: true })
  ]), { unit: 'invoices', reason: 'invoices → mailer (no mail server)', cause })
  await clock.runAll()
  await refused
})

test('a start that is under way at the stop rejects with StartStopped, and so do later starts', async () => {
  const { kernel, clock, unit } = createHouse()
  const refused = assert.rejects(kernel.start([unit('slow', { opensMs: 100 })]), StartStopped)
  await clock.advance(10)
  const stopped = kernel.stop('SIGTERM', { budgetMs: 1_000 })
  await refused
  await assert.rejects(kernel.start([unit('more')]), { code: 'BULKHEAD_START_STOPPED', reason: 'SIGTERM' })
  await clock.runAll()
  await stopped
})

test('no units at all are started at once', async () => {
  const { kernel } = createHouse()
  assert.deepEqual(await kernel.start([]), { totalMs: 0, units: [], criticalPath: [] })
})

test('while units start, it can be told who is waited for, by whom, and what went wrong last', async () => {
  const { kernel, clock, unit } = createHouse()
  const started = kernel.start([
    unit('database', { retry: { firstMs: 1_000, maxMs: 1_000 }, start: ({ attempt }) => { if (attempt < 3) throw new Error('connect ECONNREFUSED') } }),
    unit('storage', { opensMs: 5_000 }),
    unit('notes', { needs: ['database'] })
  ])
  await clock.advance(0)
  assert.deepEqual(kernel.waiting(), [
    { unit: 'database', for: 'attempt 1 (last error: connect ECONNREFUSED)', by: ['notes'] },
    { unit: 'storage', for: 'attempt 1', by: [] }
  ])
  await clock.runAll()
  await started
  assert.deepEqual(kernel.waiting(), [])
})

test('a listener that throws ends where uncaught errors end, and the kernel goes on', async t => {
  const { createKernel } = await import('../../core/kernel/index.ts')
  const { clock, unit } = createHouse()
  const uncaught: unknown[] = []
  const kernel = createKernel({ clock, onChange: () => { throw new Error('listener') } })
  const keep = (error: unknown): void => { uncaught.push(error) }
  const own = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', keep)
  t.after(() => {
    process.off('uncaughtException', keep)
    for (const listener of own) process.on('uncaughtException', listener)
  })
  const started = kernel.start([unit('database')])
  await clock.runAll()
  assert.equal((await started).units[0]?.state, 'running')
  assert.equal(uncaught.length, 2)
})

test('an error that does not pass is the last attempt; one that passes is retried within the budget', async () => {
  const { kernel, clock, unit, state, stop } = createHouse()
  const tries = { busy: 0, broken: 0 }
  const retry = { firstMs: 10, maxMs: 10, isPassing: ({ message }: Error) => message === 'busy' }
  const started = kernel.start([
    unit('busy', { retry, start: () => { if (++tries.busy < 4) throw new Error('busy') } }),
    unit('broken', { retry, start: () => { tries.broken += 1; throw new Error('broken') } })
  ])
  await clock.runAll()
  await started
  assert.deepEqual([tries, state('busy'), state('broken')], [{ busy: 4, broken: 1 }, 'running', 'failed'])
  await stop()
})
