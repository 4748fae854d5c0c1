// What is told of a start and of a stop.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { renderStartReport, renderStopReport } from '../../core/kernel/index.ts'
import { createHouse, hangs } from './fixture.ts'

test('the start report says each unit\'s waits, its duration, and which path was the longest', async () => {
  const { kernel, clock, unit } = createHouse()
  const beganAt = clock.now()
  const started = kernel.start([
    unit('postgres', { kind: 'resource', opensMs: 112 }), unit('valkey', { kind: 'resource', opensMs: 3 }),
    unit('notes', { needs: ['valkey', 'postgres'], opensMs: 1_200 })
  ])
  await clock.runAll()
  const report = await started
  assert.deepEqual(report.units[2], {
    id: 'notes', kind: 'plugin', state: 'running', waitedForMs: 112, startedAt: beganAt + 112, durationMs: 1_200, attempts: 1,
    needs: ['valkey', 'postgres'], lastNeed: 'postgres'
  })
  assert.equal(report.totalMs, 1_312)
  assert.deepEqual(report.criticalPath, ['postgres', 'notes'])
  assert.deepEqual(JSON.parse(JSON.stringify(report)), { ...report, units: report.units.map(span => ({ ...span })) })
})

test('the start is drawn as a tree of waits, with milliseconds, reasons and the critical path', async () => {
  const { kernel, clock, unit } = createHouse()
  const started = kernel.start([
    unit('postgres', {
      retry: { firstMs: 100, maxMs: 100 },
      start: async ({ attempt }) => {
        await clock.sleep(6)
        if (attempt === 1) throw new Error('not yet')
      }
    }),
    unit('migrations', { needs: ['postgres'], opensMs: 40 }),
    unit('notes', { needs: ['migrations'], opensMs: 1_160 }),
    unit('identity', { needs: ['migrations'], opensMs: 12 }),
    unit('kubernetes', { start: async () => { await clock.sleep(7); throw new Error('no cluster') } }),
    unit('operator', { needs: ['kubernetes'] }),
    unit('valkey', { opensMs: 3 })
  ])
  await clock.runAll()
  assert.deepEqual(renderStartReport(await started).split('\n'), [
    'started 5 of 7 units in 1,312 ms, 1 failed, 1 held (* the critical path)',
    '├── postgres 112 ms, 2 attempts *',
    '│   └── migrations 40 ms *',
    '│       ├── notes 1,160 ms *',
    '│       └── identity 12 ms',
    '├── kubernetes 7 ms failed: no cluster',
    '│   └── operator held: operator → kubernetes (no cluster)',
    '└── valkey 3 ms'
  ])
})

test('a clean stop is one line; what failed or was cut off has a line of its own', async () => {
  const { kernel, clock, unit } = createHouse()
  await kernel.start([
    unit('notes', { stopBudgetMs: 2_000, start: ({ undo }) => undo('drain', hangs) }),
    unit('invoices', { start: ({ undo }) => { undo('flush', () => undefined); undo('close', () => { throw new Error('socket is gone') }) } })
  ])
  const stopped = kernel.stop('SIGTERM', { budgetMs: 5_000 })
  await clock.runAll()
  assert.deepEqual(renderStopReport(await stopped).split('\n'), [
    'stopped 2 units in 5,000 ms: over budget (SIGTERM)',
    '├── notes used 5,000 ms of 5,000 ms',
    '├── notes: "drain" was cut off after 5,000 ms',
    '└── invoices: "close" failed: socket is gone'
  ])
  const other = createHouse()
  await other.kernel.start([other.unit('notes', { start: () => undefined })])
  assert.equal(renderStopReport(await other.kernel.stop('SIGINT', { budgetMs: 1 })), 'stopped 1 unit in 0 ms: clean (SIGINT)')
})

test('a chain of two thousand units, half of them held, is reported and drawn', async () => {
  const { kernel, unit } = createHouse()
  const report = await kernel.start(Array.from({ length: 2_000 }, (_, index) =>
    unit(`u${index}`, { needs: index === 0 ? [] : [`u${index - 1}`], start: () => { if (index === 1_000) throw new Error('broken') } })))
  assert.equal(report.criticalPath.length, 2_000)
  assert.equal(report.units.filter(({ state }) => state === 'held').length, 999)
  assert.ok(report.units.at(-1)?.reason?.endsWith('u1001 → u1000 (broken)'))
  assert.equal(renderStartReport(report).split('\n').length, 2_001)
})
