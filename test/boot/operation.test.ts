// What is asked of all replicas, as this one follows it: on a real kernel and roster, with choices that another replica writes.

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { createOperation, type Operation } from '../../core/boot/operation.ts'
import type { OperatorDecision, OperatorDecisions } from '../../core/plugin-runtime/index.ts'
import { createRun, inMemory, type Run } from '../plugin-runtime/fixture.ts'
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts'
import { createLog } from '../support/part.ts'
import { until } from '../support/until.ts'

interface Operated extends Run {
  operation: Operation
  time: FakeClock
  reloads: string[]
  /** Another replica writes this. */
  write (plugin: string, choice: Partial<OperatorDecision>): void
}

async function operate (t: TestContext, reload: (id: string) => Promise<void> = async () => undefined): Promise<Operated> {
  const run = createRun({ plugins: ['notes', 'mail'].map(id => inMemory(id, { start () { /* nothing */ } })) })
  await run.start()
  const rows = new Map<string, OperatorDecision>()
  let news = (): void => undefined
  const set = (plugin: string, choice: Partial<OperatorDecision>): OperatorDecision => {
    const row = { plugin, isDisabled: false, reason: null, reloads: 0, changedBy: 'ada', ageMs: 1_000_000, ...rows.get(plugin), ...choice }
    rows.set(plugin, row)
    return row
  }
  const choices: OperatorDecisions = {
    read: async () => [...rows.values()],
    find: async plugin => rows.get(plugin),
    disable: async (plugin, reason, { name }) => { set(plugin, { isDisabled: true, reason, changedBy: name }) },
    enable: async plugin => { set(plugin, { isDisabled: false }) },
    countReload: async plugin => set(plugin, { reloads: (rows.get(plugin)?.reloads ?? 0) + 1 }).reloads,
    onNews: async listener => { news = listener; return async () => undefined }
  }
  const reloads: string[] = []
  const roster = { ...run.roster, reload: async (id: string) => { reloads.push(id); await reload(id); return run.roster.find(id) } }
  const time = createFakeClock(0)
  const operation = createOperation({ kernel: run.kernel, roster, choices, log: createLog(), clock: time, read: [], lifecycle: () => { throw new Error('not asked') } })
  const stop = await operation.follow()
  t.after(async () => {
    const stopped = stop()
    await time.runAll()
    await stopped
    await run.kernel.stop('the test is over', { budgetMs: 1_000 })
  })
  return { ...run, operation, time, reloads, write: (plugin, choice) => { set(plugin, choice); news() } }
}
const stateOf = ({ kernel }: Run, id: string): string | undefined => kernel.unit(id)?.state

test('a replica that cannot follow a reload follows a disable, and pauses between its tries', async (t) => {
  const host = await operate(t, async () => { throw new Error('no such file') })
  host.write('notes', { reloads: 1 })
  await until(() => host.operation.behind.has('notes'))
  for (let seconds = 0; seconds < 100; seconds += 2) await host.time.advance(2_000)
  // After 10, 30 and 70 s.
  assert.equal(host.reloads.length, 4)
  assert.equal(host.operation.host.plugin('notes').behind, 'no such file')
  host.write('notes', { isDisabled: true, reason: 'it sings' })
  await until(() => stateOf(host, 'notes') === 'disabled')
  await until(() => !host.operation.behind.has('notes'))
  host.write('notes', { reloads: 2 })
  await host.time.advance(4_000)
  assert.equal(host.reloads.length, 4, 'what is switched off is loaded when it is switched on')
})

test('a new wish is followed at once, whatever the pause was to be', async (t) => {
  let isMended = false
  const host = await operate(t, async () => { if (!isMended) throw new Error('no such file') })
  host.write('notes', { reloads: 1 })
  await until(() => host.operation.behind.has('notes'))
  isMended = true
  host.write('notes', { reloads: 2 })
  await until(() => !host.operation.behind.has('notes'))
  assert.equal(host.reloads.length, 2)
})

test('what is written while another plugin is followed counts', async (t) => {
  const slow = Promise.withResolvers<undefined>()
  const host = await operate(t, async id => { if (id === 'mail') await slow.promise })
  host.write('mail', { reloads: 1 })
  await until(() => host.reloads.length === 1)
  host.write('notes', { isDisabled: true })
  await host.operation.host.disable('notes', { id: '1', name: 'grace' })
  host.write('notes', { isDisabled: false })
  const enabled = host.operation.host.enable('notes', { id: '1', name: 'grace' })
  slow.resolve(undefined)
  await enabled
  await host.time.advance(4_000)
  assert.deepEqual([stateOf(host, 'notes'), host.operation.behind.size], ['running', 0])
})

test('a plugin that was removed elsewhere and is not here is as was asked', async (t) => {
  const { NotFound } = await import('../../core/contract/index.ts')
  const host = await operate(t, async () => { throw new NotFound('There is no plugin "gone".') })
  host.write('gone', { reloads: 1 })
  await until(() => host.reloads.length === 1)
  for (let seconds = 0; seconds < 60; seconds += 2) await host.time.advance(2_000)
  assert.deepEqual([host.reloads.length, host.operation.behind.size], [1, 0])
})
