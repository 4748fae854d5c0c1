// A new generation beside the one that runs: it takes over in one step, or the old one goes on.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createHouse, hangs } from './fixture.ts'

test('the new generation starts beside the old, takes over in one step, then the old is undone', async () => {
  const { kernel, clock, unit, journal, write, changes, stop } = createHouse()
  const started = kernel.start([unit('notes', { closesMs: 20 }), unit('reports', { needs: ['notes'] })])
  await clock.advance(50)
  await started
  journal.length = changes.length = 0
  const next = unit('notes', { start: async ({ undo }) => { write('next starts'); await clock.sleep(5); undo('close', () => write('next closes')) } })
  const replaced = kernel.replace(next, () => { write('switched') })
  await clock.advance(100)
  assert.deepEqual(journal, ['50 next starts', '55 switched', '55 notes closes', '75 notes closed'])
  assert.deepEqual((await replaced).map(({ name, outcome }) => `${name} ${outcome}`), ['close done'])
  assert.deepEqual(changes, [], 'nobody else has moved')
  await stop()
  assert.equal(journal.at(-1), '151 next closes')
})

test('a generation that throws, hangs or needs what does not run leaves the old one as it was', async () => {
  const { kernel, clock, unit, state, journal, stop } = createHouse()
  const started = kernel.start([unit('notes'), unit('mail', { start: () => { throw new Error('no route') } })])
  await clock.advance(50)
  await started
  journal.length = 0
  let undone = 0
  const replacements = [
    unit('notes', { start: ({ undo }) => { undo('close', () => { undone += 1 }); throw new Error('of a typo') } }),
    unit('notes', { startBudgetMs: 200, start: async ({ undo }) => { undo('close', () => { undone += 1 }); await hangs() } }),
    unit('notes', { needs: ['mail'] }),
    unit('notes', { needs: ['nobody'] })
  ].map(next => kernel.replace(next).then(() => 'replaced', (error: unknown) => (error as Error).message))
  await clock.advance(10_000)
  assert.deepEqual(await Promise.all(replacements), [
    '"notes" was not replaced: of a typo',
    '"notes" was not replaced: start took longer than 200 ms',
    '"notes" was not replaced: it needs "mail", which does not run',
    'Nothing was started: "notes" needs "nobody", and there is no such unit.'
  ])
  assert.deepEqual([state('notes'), undone, journal], ['running', 2, []])
  await stop()
})

test('dependents that refuse the new generation are held, and come back when served again', async () => {
  const { kernel, clock, unit, state, reason, stop } = createHouse()
  let version = 1
  const refuses = (need: string): string | undefined => need === 'ledger' && version !== 1 ? 'it requires "ledger" ^1.0.0, and 2.0.0 is here' : undefined
  const started = kernel.start([unit('ledger'), unit('invoices', { needs: ['ledger'], refuses }), unit('reports', { needs: ['invoices'] }), unit('audit', { needs: ['ledger'] })])
  await clock.advance(100)
  await started
  const states = (): unknown => ['ledger', 'invoices', 'reports', 'audit'].map(state)
  const replace = async (to: number): Promise<void> => {
    const replaced = kernel.replace(unit('ledger'), () => { version = to })
    await clock.advance(100)
    await replaced
  }
  await replace(2)
  assert.deepEqual(states(), ['running', 'held', 'held', 'running'])
  assert.equal(reason('reports'), 'reports → invoices → ledger (it requires "ledger" ^1.0.0, and 2.0.0 is here)')
  await replace(1)
  assert.deepEqual(states(), ['running', 'running', 'running', 'running'])
  await stop()
})

test('a unit that is quarantined, or was disabled and is enabled, starts as its new generation', async () => {
  const { kernel, clock, unit, state, stop } = createHouse()
  const recover = { firstMs: 60_000, maxMs: 60_000, resetAfterMs: 1 }
  const started = kernel.start([unit('notes', { recover, start: () => { throw new Error('of a typo') } }), unit('mail')])
  await clock.advance(50)
  await started
  const replaced = kernel.replace(unit('notes', { recover }))
  await clock.advance(50)
  assert.deepEqual([await replaced, state('notes')], [[], 'running'])

  const disabled = kernel.disable('mail', 'an operator disabled it')
  await clock.advance(50)
  await disabled
  let generation = 1
  await kernel.replace(unit('mail', { start: () => { generation = 2 } }))
  assert.deepEqual([state('mail'), generation], ['disabled', 1])
  await kernel.enable('mail')
  assert.deepEqual([state('mail'), generation], ['running', 2])
  await stop()
})

test('a stop during a replacement ends both generations', async () => {
  const { kernel, clock, unit, journal, write } = createHouse()
  const started = kernel.start([unit('notes')])
  await clock.advance(50)
  await started
  journal.length = 0
  const replaced = kernel.replace(unit('notes', {
    start: async ({ undo, signal }) => { undo('close', () => write('next closes')); await clock.sleep(1_000, signal) }
  }))
  const refused = assert.rejects(replaced, { code: 'BULKHEAD_NOT_REPLACED' })
  await clock.advance(10)
  const stopped = kernel.stop('SIGTERM', { budgetMs: 1_000 })
  await clock.runAll()
  await refused
  assert.equal((await stopped).outcome, 'clean')
  assert.deepEqual(journal.toSorted(), ['60 next closes', '60 notes closes', '61 notes closed'])
})

test('a unit serves through the function its start returns, in a replacement at the switch', async () => {
  const { kernel, clock, unit, state, stop } = createHouse()
  const serving: string[] = []
  const serves = (name: string, fails = false) => unit('notes', {
    start: async ({ undo }) => {
      await clock.sleep(10)
      return {
        serve: () => {
          if (fails) throw new Error('the mount is taken')
          serving.push(name)
          undo('serve no more', () => { serving.splice(serving.indexOf(name), 1) })
        }
      }
    }
  })
  const started = kernel.start([serves('first'), unit('mail')])
  await clock.advance(20)
  await started
  assert.deepEqual(serving, ['first'])

  let atSwitch: string[] = []
  const replaced = kernel.replace(serves('second'), () => { atSwitch = [...serving] })
  await clock.advance(5)
  assert.deepEqual(serving, ['first'])
  await clock.advance(20)
  await replaced
  assert.deepEqual([atSwitch, serving], [['first', 'second'], ['second']])

  const refused = assert.rejects(kernel.replace(serves('third', true)), { message: '"notes" was not replaced: the mount is taken' })
  await clock.advance(20)
  await refused
  assert.deepEqual([serving, state('notes')], [['second'], 'running'])

  const needless = assert.rejects(kernel.replace({ ...serves('fourth'), needs: ['mail'] }), { message: '"notes" was not replaced: it needs "mail", which does not run' })
  void kernel.disable('mail', 'an operator said so')
  await clock.advance(20)
  await needless
  assert.deepEqual(serving, ['second'], 'what never took over never served')
  await stop()
})

test('what cannot serve has failed to start', async () => {
  const { kernel, unit, reason, state, stop } = createHouse()
  await kernel.start([unit('notes', { start: () => ({ serve: () => { throw new Error('the mount is taken') } }) })])
  assert.deepEqual([state('notes'), reason('notes')], ['failed', 'the mount is taken'])
  await stop()
})

test('replacements of one unit come one after another', async () => {
  const { kernel, clock, unit, stop } = createHouse()
  const started = kernel.start([unit('notes')])
  await clock.advance(50)
  await started
  let underWay = 0
  let most = 0
  const next = () => unit('notes', { start: async () => { most = Math.max(most, underWay += 1); await clock.sleep(10); underWay -= 1 } })
  const replaced = Promise.all([kernel.replace(next()), kernel.replace(next()), kernel.replace(next())])
  await clock.advance(100)
  await replaced
  assert.deepEqual([most, kernel.units()[0]?.restarts], [1, 3])
  await stop()
})
