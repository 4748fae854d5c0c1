// What fails while the host runs: it is quarantined, tried again with growing pauses, and comes back with all that needs it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UnitHeld } from '../../core/kernel/index.ts'
import { createHouse, hangs } from './fixture.ts'

const recover = { firstMs: 1_000, maxMs: 60_000, resetAfterMs: 120_000 }

test('a unit that fails to start is quarantined and retried after 1 s, doubling up to 60 s', async () => {
  const { kernel, clock, unit, state, stop } = createHouse()
  const beganAt = clock.now()
  const starts: number[] = []
  const started = kernel.start([unit('mail', { recover, start: () => { starts.push(clock.now() - beganAt); throw new Error('no route') } })])
  await clock.advance(0)
  await started
  assert.equal(state('mail'), 'quarantined')
  assert.equal(kernel.units()[0]?.retryAt, clock.now() + 1_000)
  await clock.advance(200_000)
  assert.deepEqual(starts.map((at, index) => at - (starts[index - 1] ?? 0)).slice(1), [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000])
  await stop()
  assert.equal(clock.sleepers, 0)
})

test('every way of failing to start leads to quarantine, and dependents are held until it runs', async () => {
  const ways = {
    throws: () => { throw new Error('at once') },
    rejects: async () => { throw new Error('later') },
    // eslint-disable-next-line @typescript-eslint/only-throw-error -- plugins do
    null: () => { throw null },
    hangs
  }
  const { kernel, clock, unit, state, reason, stop } = createHouse()
  const isMended = new Set<string>()
  const started = kernel.start(Object.entries(ways).flatMap(([way, start]) => [
    unit(way, { recover, startBudgetMs: 500, start: () => isMended.has(way) ? undefined : start() }),
    unit(`on ${way}`, { needs: [way] })
  ]))
  await clock.advance(600)
  await started
  for (const way of Object.keys(ways)) assert.deepEqual([state(way), state(`on ${way}`)], ['quarantined', 'held'], way)
  assert.equal(reason('on throws'), 'on throws → throws (at once)')
  assert.equal(reason('hangs'), 'start took longer than 500 ms')
  for (const way of Object.keys(ways)) isMended.add(way)
  await clock.advance(2_500)
  for (const way of Object.keys(ways)) assert.deepEqual([state(way), state(`on ${way}`)], ['running', 'running'], way)
  await stop()
})

test('an unhealthy unit ends after all its dependents, and all come back in order of their needs', async () => {
  const { kernel, clock, unit, journal, reason, state, stop } = createHouse()
  const started = kernel.start([
    unit('ledger', { recover }), unit('invoices', { needs: ['ledger'] }), unit('reports', { needs: ['invoices'] }),
    unit('mail', { after: ['ledger'] }), unit('notes')
  ])
  await clock.advance(100)
  await started
  journal.length = 0
  kernel.fail('ledger', new Error('its check failed 3 times'))
  await clock.advance(500)
  assert.deepEqual(journal, [
    '100 reports closes', '101 reports closed', '101 invoices closes', '102 invoices closed', '102 ledger closes', '103 ledger closed'
  ])
  assert.equal(state('ledger'), 'quarantined')
  assert.equal(reason('reports'), 'reports → invoices → ledger (its check failed 3 times)')
  assert.deepEqual([state('mail'), state('notes')], ['running', 'running'], 'what does without it goes on')
  journal.length = 0
  await clock.advance(1_000)
  assert.deepEqual(journal.filter(line => line.endsWith('opens')), ['1103 ledger opens', '1113 invoices opens', '1123 reports opens'])
  assert.deepEqual(kernel.units().map(({ id, restarts }) => `${id} ${restarts}`), ['ledger 1', 'invoices 1', 'reports 1', 'mail 0', 'notes 0'])
  await stop()
})

test('only a unit that ran for 120 s has put its failures behind it', async () => {
  const { kernel, clock, unit, stop } = createHouse()
  void kernel.start([unit('mail', { recover, opensMs: 0, closesMs: 0 })])
  const pauseAfter = async (ranMs: number): Promise<number> => {
    await clock.advance(ranMs)
    kernel.fail('mail', new Error('unwell'))
    await clock.advance(0)
    const pauseMs = (kernel.units()[0]?.retryAt ?? NaN) - clock.now()
    await clock.advance(pauseMs)
    return pauseMs
  }
  const pauses: number[] = []
  for (const ranMs of [10, 119_999, 1, 120_000, 5]) pauses.push(await pauseAfter(ranMs))
  assert.deepEqual(pauses, [1_000, 2_000, 4_000, 1_000, 2_000])
  await stop()
})

test('a start held for something missing outside is retried; retry does not wait for its time', async () => {
  const { kernel, clock, unit, state, stop } = createHouse()
  let isThere = false
  const started = kernel.start([
    unit('kubernetes', { recover, start: () => { if (!isThere) throw new UnitHeld('there is no cluster') } }), unit('deployer', { needs: ['kubernetes'] })
  ])
  await clock.advance(0)
  await started
  await clock.advance(10_000)
  assert.deepEqual([state('kubernetes'), state('deployer')], ['held', 'held'])
  isThere = true
  kernel.retry('kubernetes')
  await clock.advance(10)
  assert.deepEqual([state('kubernetes'), state('deployer')], ['running', 'running'])
  await stop()
})

test('a required unit ends the kernel when its first start fails, and is quarantined later on', async () => {
  const { kernel, clock, unit, state, stop } = createHouse()
  const started = kernel.start([unit('ledger', { recover, required: true })])
  await clock.advance(20)
  await started
  kernel.fail('ledger', new Error('unwell'))
  await clock.advance(10)
  assert.equal(state('ledger'), 'quarantined')
  await clock.advance(2_000)
  assert.equal(state('ledger'), 'running')
  await stop()

  const second = createHouse()
  const refused = second.kernel.start([second.unit('ledger', { recover, required: true, start: () => { throw new Error('no') } })])
  await assert.rejects(refused, { code: 'BULKHEAD_REQUIRED_UNIT_FAILED' })
  await second.stop()
})

test('a disabled unit ends with its dependents and stays so until enabled, also if added so', async () => {
  const { kernel, clock, unit, state, reason, stop } = createHouse()
  const started = kernel.start([
    unit('ledger', { recover }), unit('invoices', { needs: ['ledger'] }), unit('mail', { disabled: 'an operator disabled it', required: true })
  ])
  await clock.advance(100)
  await started
  assert.deepEqual([state('mail'), reason('mail')], ['disabled', 'an operator disabled it'])
  const disabled = kernel.disable('ledger', 'an operator disabled it')
  await clock.advance(10)
  await disabled
  assert.deepEqual([state('ledger'), reason('invoices')], ['disabled', 'invoices → ledger (an operator disabled it)'])
  await clock.advance(100_000)
  assert.equal(state('ledger'), 'disabled')
  const enabled = Promise.all([kernel.enable('ledger'), kernel.enable('mail')])
  await clock.advance(20)
  await enabled
  assert.deepEqual(['ledger', 'invoices', 'mail'].map(state), ['running', 'running', 'running'])
  await stop()
})
