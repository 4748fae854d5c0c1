// The one way out: its order, its budget, and every state it may find.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StartContext } from '../../core/kernel/index.ts'
import { createHouse, hangs } from './fixture.ts'

test('a dependency stops only after its dependents have, and independent units stop together', async () => {
  const { kernel, clock, unit, journal } = createHouse()
  const started = kernel.start([
    unit('database', { closesMs: 5 }), unit('notes', { needs: ['database'], closesMs: 20 }),
    unit('http', { after: ['notes'], closesMs: 50 }), unit('invoices', { needs: ['database'], closesMs: 30 })
  ])
  await clock.runAll()
  await started
  const begin = journal.length
  const stopped = kernel.stop('SIGTERM', { budgetMs: 10_000 })
  await clock.runAll()
  const report = await stopped
  assert.deepEqual(journal.slice(begin), [
    '30 http closes', '30 invoices closes', '60 invoices closed', '80 http closed', '80 notes closes', '100 notes closed', '100 database closes', '105 database closed'
  ])
  assert.deepEqual([report.reason, report.outcome, report.durationMs], ['SIGTERM', 'clean', 75])
  assert.deepEqual(report.units.map(({ id, state, durationMs }) => [id, state, durationMs]), [
    ['http', 'running', 50], ['invoices', 'running', 30], ['notes', 'running', 20], ['database', 'running', 5]
  ])
})

test('callers of stop join the first', async () => {
  const { kernel, clock, unit, journal } = createHouse()
  await Promise.all([kernel.start([unit('database')]), clock.runAll()])
  const first = kernel.stop('SIGTERM', { budgetMs: 1_000 })
  const second = kernel.stop('fatal', { budgetMs: 1 })
  await clock.runAll()
  assert.equal(await second, await first)
  assert.equal(await kernel.stop('again', { budgetMs: 1 }), await first)
  assert.equal(journal.filter(line => line.endsWith('closes')).length, 1)
})

test('a kernel without units stops at once', async () => {
  const { kernel } = createHouse()
  assert.deepEqual(await kernel.stop('SIGTERM', { budgetMs: 0 }), { reason: 'SIGTERM', outcome: 'clean', durationMs: 0, units: [] })
})

test('steps are taken newest first, and none is skipped because another failed', async () => {
  const { kernel, clock, unit } = createHouse()
  const error = new Error('socket is gone')
  await kernel.start([unit('notes', {
    start: ({ undo }) => {
      undo('first', () => undefined)
      undo('throws', () => { throw error })
      undo('rejects', async () => { await clock.sleep(3); throw error })
      undo('last', () => clock.sleep(2))
    }
  })])
  const stopped = kernel.stop('SIGTERM', { budgetMs: 1_000 })
  await clock.runAll()
  const report = await stopped
  assert.equal(report.outcome, 'errors')
  assert.deepEqual(report.units[0]?.steps, [
    { name: 'last', outcome: 'done', durationMs: 2 }, { name: 'rejects', outcome: 'failed', durationMs: 3, error },
    { name: 'throws', outcome: 'failed', durationMs: 0, error }, { name: 'first', outcome: 'done', durationMs: 0 }
  ])
})

test('a hanging step is cut off by name, its signal aborts, and later steps and units have time', async () => {
  const { kernel, clock, unit } = createHouse()
  let reason: unknown
  await Promise.all([kernel.start([
    unit('database', { closesMs: 100 }),
    unit('notes', {
      needs: ['database'],
      stopBudgetMs: 1_000,
      start: ({ undo }) => {
        undo('flush', () => clock.sleep(50))
        undo('drain', signal => {
          signal.addEventListener('abort', () => { reason = signal.reason })
          return hangs()
        })
      }
    })
  ]), clock.runAll()])
  const stopped = kernel.stop('SIGTERM', { budgetMs: 6_000 })
  await clock.runAll()
  const report = await stopped
  assert.equal(report.outcome, 'over budget')
  assert.deepEqual(report.units.map(({ id, steps }) => [id, ...steps.map(({ name, outcome, durationMs }) => `${name} ${outcome} ${durationMs}`)]), [
    ['notes', 'drain cut off 900', 'flush done 50'], ['database', 'close done 100']
  ])
  assert.equal((reason as Error).message, '"drain" took longer than 900 ms')
  assert.equal(clock.sleepers, 0)
})

test('the stop ends with its budget, even when every unit hangs, and each had its share of it', async () => {
  const { kernel, clock, unit, write, journal } = createHouse()
  const chain = ['a', 'b', 'c', 'd'].map((id, index, ids) => unit(id, {
    needs: ids.slice(0, index), start: ({ undo }) => undo('close', () => { write(id); return hangs() })
  }))
  await Promise.all([kernel.start(chain), clock.runAll()])
  const stopped = kernel.stop('SIGTERM', { budgetMs: 7_000 })
  await clock.runAll()
  const report = await stopped
  assert.equal(report.durationMs, 7_000)
  assert.deepEqual(journal, ['0 d', '1750 c', '3500 b', '5250 a'])
  assert.deepEqual(kernel.units().map(({ state }) => state), ['stopped', 'stopped', 'stopped', 'stopped'])
})

test('the time left is divided by budgets along the longest chain, and the report shows shares', async () => {
  const { kernel, clock, unit } = createHouse()
  const closes = (ms: number, stopBudgetMs: number, needs: string[] = []) => ({ needs, stopBudgetMs, opensMs: 0, closesMs: ms })
  const started = kernel.start([
    unit('database', closes(10, 4_000)), unit('cache', closes(10, 1_000)),
    unit('notes', closes(50_000, 4_000, ['database', 'cache'])), unit('http', closes(500, 2_000, ['notes']))
  ])
  await clock.advance(1)
  await started
  const stopped = kernel.stop('SIGTERM', { budgetMs: 8_000 })
  await clock.runAll()
  const report = await stopped
  // http: 2 of 2 + 4 + 4. It leaves 7.5 s, of which notes has 4 of 4 + 4.
  assert.deepEqual(report.units.map(({ id, durationMs, shareMs }) => [id, durationMs, shareMs]), [
    ['http', 500, 1_600], ['notes', 3_750, 3_750], ['database', 10, 3_750], ['cache', 10, 3_750]
  ])
  assert.equal(report.outcome, 'over budget')
})

test('a unit that needs longer than its budget continues while the grace period has room', async () => {
  const { kernel, clock, unit } = createHouse()
  const started = kernel.start([
    unit('database', { stopBudgetMs: 10_000, closesMs: 100 }), unit('ready', { needs: ['database'], stopBudgetMs: 1_000, closesMs: 2_000 }),
    unit('last', { stopBudgetMs: 1_000, closesMs: 20_000 })
  ])
  await clock.runAll()
  await started
  const stopped = kernel.stop('SIGTERM', { budgetMs: 29_500 })
  await clock.runAll()
  assert.equal((await stopped).outcome, 'clean')
})

test('a reserved budget is not divided, as long as nobody is in a hurry', async () => {
  const closes = { needs: ['notes'], stopBudgetMs: 6_000, stopIsReserved: true, start: ({ undo }: StartContext) => undo('drain', hangs) }
  const end = async (hurryAfterMs?: number): Promise<unknown> => {
    const { kernel, clock, unit } = createHouse()
    await kernel.start([unit('database', { start: () => undefined }), unit('notes', { needs: ['database'], start: () => undefined }), unit('http', closes)])
    const stopped = kernel.stop('SIGTERM', { budgetMs: 8_000 })
    if (hurryAfterMs !== undefined) {
      await clock.advance(hurryAfterMs)
      kernel.hurry(1_600)
    }
    await clock.runAll()
    return (await stopped).units.map(({ id, durationMs, shareMs }) => [id, durationMs, shareMs])
  }
  assert.deepEqual(await end(), [['http', 6_000, 6_000], ['notes', 0, 1_000], ['database', 0, 2_000]])
  assert.deepEqual(await end(100), [['http', 700, 6_000], ['notes', 0, 500], ['database', 0, 1_000]])
})

test('a second signal is divided, too', async () => {
  const { kernel, clock, unit, write, journal } = createHouse()
  const chain = ['a', 'b', 'c'].map((id, index, ids) => unit(id, {
    needs: ids.slice(0, index), start: ({ undo }) => undo('close', () => { write(id); return hangs() })
  }))
  await kernel.start(chain)
  const stopped = kernel.stop('SIGTERM', { budgetMs: 30_000 })
  await clock.advance(1_000)
  kernel.hurry(900)
  await clock.runAll()
  await stopped
  assert.deepEqual(journal, ['0 c', '1300 b', '1600 a'])
})

test('a second signal shortens what is left, and a longer budget does not lengthen it', async () => {
  const { kernel, clock, unit } = createHouse()
  await kernel.start([unit('notes', { stopBudgetMs: 60_000, start: ({ undo }) => undo('drain', hangs) })])
  kernel.hurry(1)
  const stopped = kernel.stop('SIGTERM', { budgetMs: 30_000 })
  await clock.advance(2_000)
  kernel.hurry(1_000)
  kernel.hurry(50_000)
  await clock.runAll()
  const report = await stopped
  assert.equal(report.durationMs, 3_000)
  assert.deepEqual(report.units[0]?.steps.map(({ name, outcome }) => [name, outcome]), [['drain', 'cut off']])
})

test('a start that is under way is aborted, waited for until it gives up, and then undone', async () => {
  const { kernel, clock, unit, write, journal } = createHouse()
  kernel.start([unit('database'), unit('slow', {
    needs: ['database'],
    start: async ({ signal, undo }) => {
      undo('close', () => write('slow closed'))
      await clock.sleep(9_000, signal).catch(async () => { await clock.sleep(40); write('slow gave up') })
    }
  })]).catch(() => undefined)
  await clock.advance(100)
  const stopped = kernel.stop('SIGTERM', { budgetMs: 1_000 })
  await clock.runAll()
  const report = await stopped
  assert.deepEqual(journal.slice(2), ['140 slow gave up', '140 slow closed', '140 database closes', '141 database closed'])
  assert.equal(report.outcome, 'clean')
  assert.deepEqual(report.units[0], {
    id: 'slow', state: 'starting', durationMs: 40, shareMs: 500, steps: [{ name: 'start', outcome: 'done', durationMs: 40 }, { name: 'close', outcome: 'done', durationMs: 0 }]
  })
})

test('a hung start that ignores its signal is abandoned after 1 s, and the rest stops cleanly', async () => {
  const { kernel, clock, unit } = createHouse()
  kernel.start([unit('database', { closesMs: 300 }), unit('hung', { needs: ['database'], start: ({ undo }) => { undo('close', () => clock.sleep(20)); return hangs() } })])
    .catch(() => undefined)
  await clock.advance(10)
  const stopped = kernel.stop('SIGTERM', { budgetMs: 10_000 })
  await clock.runAll()
  const report = await stopped
  assert.deepEqual([report.outcome, report.durationMs], ['clean', 1_320])
  assert.deepEqual(report.units[0]?.steps.map(({ name, outcome, durationMs }) => [name, outcome, durationMs]), [['start', 'abandoned', 1_000], ['close', 'done', 20]])
})

test('a hung start that ignores its signal is cut off like a step, and its effects are undone', async () => {
  const { kernel, clock, unit, steps } = createHouse()
  kernel.start([unit('hung', { start: ({ undo }) => { undo('close', () => clock.sleep(20)); return hangs() } })]).catch(() => undefined)
  await clock.advance(10)
  const stopped = kernel.stop('SIGTERM', { budgetMs: 1_000 })
  await clock.runAll()
  const report = await stopped
  assert.ok(report.durationMs <= 1_000)
  assert.equal(report.outcome, 'over budget')
  assert.deepEqual(steps.map(({ name, outcome }) => `${name} ${outcome}`), ['start cut off', 'close done'])
  assert.equal(clock.sleepers, 0)
})

test('an attempt that was given up and settles during the next one changes nothing for that one', async () => {
  const { kernel, clock, unit, write, journal, state } = createHouse()
  kernel.start([unit('database', {
    attemptBudgetMs: 1_000,
    stopBudgetMs: 100,
    retry: { firstMs: 100, maxMs: 100 },
    start: async ({ attempt }) => {
      write(`attempt ${attempt}`)
      if (attempt === 2) await hangs()
      await clock.sleep(1_500)
      write('attempt 1 is done')
    }
  })]).catch(() => undefined)
  await clock.advance(1_600)
  assert.deepEqual(journal, ['0 attempt 1', '1200 attempt 2', '1500 attempt 1 is done'])
  assert.equal(state('database'), 'starting')
  const stopped = kernel.stop('SIGTERM', { budgetMs: 200 })
  await clock.advance(200)
  assert.deepEqual((await stopped).units.map(({ steps }) => steps.map(({ name, outcome }) => `${name} ${outcome}`)), [['start cut off']])
  assert.equal(clock.sleepers, 0)
})

test('a stop in the pause between two attempts ends the pause, and nothing is undone twice', async () => {
  const { kernel, clock, unit, steps } = createHouse()
  kernel.start([unit('database', {
    retry: { firstMs: 5_000, maxMs: 5_000 }, start: ({ undo }) => { undo('close', () => undefined); throw new Error('not yet') }
  })]).catch(() => undefined)
  await clock.advance(100)
  const report = await kernel.stop('SIGTERM', { budgetMs: 1_000 })
  assert.deepEqual([report.outcome, report.durationMs], ['clean', 0])
  assert.equal(steps.length, 1)
  assert.equal(clock.sleepers, 0)
})

test('a stop joins the undoing of a failed attempt that is under way', async () => {
  const { kernel, clock, unit, write, journal, state } = createHouse()
  await Promise.all([kernel.start([unit('database')]), clock.runAll()])
  kernel.start([unit('notes', {
    needs: ['database'],
    start: ({ undo }) => {
      undo('close', async () => { await clock.sleep(100); write('notes closed') })
      throw new Error('broken')
    }
  })]).catch(() => undefined)
  await clock.advance(30)
  assert.equal(state('notes'), 'starting')
  const stopped = kernel.stop('SIGTERM', { budgetMs: 1_000 })
  await clock.runAll()
  const report = await stopped
  assert.deepEqual(journal.slice(2), ['110 notes closed', '110 database closes', '111 database closed'])
  assert.equal(report.outcome, 'clean')
})

test('the stop waits for a unit that failed over its budget while it is still being undone', async () => {
  const { kernel, clock, unit, write, journal, state } = createHouse()
  const started = kernel.start([unit('database'), unit('notes', {
    needs: ['database'],
    startBudgetMs: 1_000,
    start: ({ undo }) => { undo('close', async () => { await clock.sleep(1_500); write('notes closed') }); throw new Error('broken') }
  })])
  await clock.advance(1_010)
  await started
  assert.equal(state('notes'), 'failed')
  const stopped = kernel.stop('SIGTERM', { budgetMs: 5_000 })
  await clock.runAll()
  assert.equal((await stopped).outcome, 'clean')
  assert.deepEqual(journal.slice(2), ['1510 notes closed', '1510 database closes', '1511 database closed'])
})

test('held, failed and waiting units have nothing to undo and are not in the report', async () => {
  const { kernel, clock, unit, changes } = createHouse()
  kernel.start([
    unit('broken', { start: () => { throw new Error('broken') } }), unit('held', { needs: ['broken'] }),
    unit('slow', { opensMs: 1_000 }), unit('waiting', { needs: ['slow'] })
  ]).catch(() => undefined)
  await clock.advance(10)
  const stopped = kernel.stop('SIGTERM', { budgetMs: 1_000 })
  await clock.runAll()
  const report = await stopped
  assert.deepEqual(report.units.map(({ id, state }) => [id, state]), [['slow', 'starting']])
  assert.deepEqual(changes.filter(({ to }) => to === 'stopping').map(({ unit }) => unit), ['slow'])
  assert.deepEqual(changes.filter(({ to }) => to === 'stopped').length, 4)
})

test('what a start registers after its attempt has ended is undone at once and reported', async () => {
  const { kernel, clock, unit, steps } = createHouse()
  const started = kernel.start([unit('late', {
    startBudgetMs: 100,
    stopBudgetMs: 50,
    start: async ({ undo }) => {
      await clock.sleep(1_000)
      undo('close late socket', () => clock.sleep(10))
      throw new Error('too late for anyone')
    }
  })])
  await clock.runAll()
  await started
  assert.deepEqual(steps.map(({ unit, name, outcome, durationMs }) => [unit, name, outcome, durationMs]), [
    ['late', 'start', 'cut off', 50], ['late', 'close late socket', 'done', 10]
  ])
})

test('the stop waits for late steps within its budget and has them in its report', async () => {
  const { kernel, clock, unit } = createHouse()
  let late: StartContext | undefined
  await kernel.start([
    unit('notes', { start: context => { late = context } }),
    unit('http', { start: ({ undo }) => undo('drain', () => clock.sleep(200)) })
  ])
  const stopped = kernel.stop('SIGTERM', { budgetMs: 1_000 })
  await clock.advance(100)
  late?.undo('close late socket', () => clock.sleep(300))
  await clock.runAll()
  const report = await stopped
  assert.equal(report.durationMs, 400)
  assert.deepEqual(report.units.find(({ id }) => id === 'notes')?.steps, [{ name: 'close late socket', outcome: 'done', durationMs: 300 }])
})

test('the signal of a unit that runs aborts when its turn to stop has come, and not before', async () => {
  const { kernel, clock, unit, write, journal } = createHouse()
  await kernel.start([
    unit('database', { start: ({ signal }) => signal.addEventListener('abort', () => write('database is told')) }),
    unit('notes', { needs: ['database'], start: ({ undo }) => undo('close', () => clock.sleep(70)) })
  ])
  const stopped = kernel.stop('SIGTERM', { budgetMs: 1_000 })
  await clock.runAll()
  await stopped
  assert.deepEqual(journal, ['70 database is told'])
})

test('a start that asks for a stop itself, before its first wait, is undone like any other', async () => {
  const { kernel, clock, unit, write, journal } = createHouse()
  let stopped: Promise<unknown> | undefined
  const started = kernel.start([unit('suicidal', {
    start: ({ undo }) => {
      undo('before', () => write('before'))
      stopped = kernel.stop('its own wish', { budgetMs: 1_000 })
      undo('after', () => write('after'))
    }
  })])
  await assert.rejects(started, { reason: 'its own wish' })
  await clock.runAll()
  await stopped
  assert.deepEqual(journal, ['0 after', '0 before'])
  assert.equal(kernel.units()[0]?.state, 'stopped')
})
