// A unit is handed the values of the units that it names, and of no others.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defineUnit, type StartContext, type UnitDefinition } from '../../core/kernel/index.ts'
import { createHouse } from './fixture.ts'

const limits = (id: string) => ({ id, kind: 'host', required: true, startBudgetMs: 1_000, stopBudgetMs: 1_000 }) as const
const cache = defineUnit(limits('valkey'), {}, () => ({ value: { get: (key: string) => `${key} of valkey` } }))
const database = defineUnit(limits('postgres'), {}, () => ({ value: { size: 3 } }))

test('a unit gets the values of the needs that it names, and no others', async () => {
  const { kernel, stop } = createHouse()
  const seen: unknown[] = []
  const access = defineUnit(limits('access'), { memory: cache }, (given, { opened }) => {
    seen.push(Object.keys(given), given.memory.get('ada'), Object.keys(opened))
    // @ts-expect-error -- a unit that it does not name
    seen.push(given.database)
    // @ts-expect-error -- the value of a need has its own type
    seen.push(given.memory.size)
    return { value: 'who may do what' }
  })
  await kernel.start([database, cache, access])
  assert.deepEqual(seen, [['memory'], 'ada of valkey', ['valkey'], undefined, undefined])
  assert.deepEqual(access.needs, ['valkey'])
  const value: string = kernel.valueOf(access)
  assert.equal(value, 'who may do what')
  await stop()
})

test('a start that fails, or is too late, hands nothing on', async () => {
  const { kernel, clock, unit, stop } = createHouse()
  let attempts = 0
  const slow: UnitDefinition<number> = {
    ...unit('slow'), attemptBudgetMs: 100, retry: { firstMs: 10, maxMs: 10 },
    // The first attempt ignores its signal and ends after the second one has started the unit.
    start: async () => { const attempt = attempts += 1; await clock.sleep(attempt === 1 ? 1_105 : 1); return { value: attempt } }
  }
  const seen: unknown[] = []
  const next = defineUnit(limits('next'), { slow }, ({ slow: value }) => { seen.push(value); return { value } })
  const started = kernel.start([slow, next])
  assert.throws(() => kernel.valueOf(slow), { message: '"slow" does not run, so it has opened nothing' })
  await clock.advance(3_000)
  await started
  assert.deepEqual([seen, kernel.valueOf(slow)], [[2], 2])
  await stop()
})

test('a replacement is handed what its own needs opened, and its check follows the switch', async () => {
  const { kernel, clock, unit, stop } = createHouse()
  const checks = { first: () => undefined, second: () => undefined }
  const opened: StartContext['opened'][] = []
  const starts = (check: () => void) => (context: StartContext) => { opened.push(context.opened); return { check } }
  await kernel.start([cache, database, unit('notes', { needs: ['valkey'], start: starts(checks.first) })])
  assert.equal(kernel.unit('notes')?.check, checks.first)
  await kernel.replace(unit('notes', { needs: ['postgres'], start: starts(checks.second) }))
  assert.equal(kernel.unit('notes')?.check, checks.second)
  assert.deepEqual(opened.map(values => Object.keys(values)), [['valkey'], ['postgres']])
  const disabled = kernel.disable('notes', 'an operator said so')
  await clock.runAll()
  await disabled
  assert.equal(kernel.unit('notes')?.check, undefined)
  await stop()
})
