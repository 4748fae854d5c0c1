// Random graphs of units that are slow, fail, hang, throw null and come late, with a stop at any moment: what must always hold.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Clock } from '../../core/contract/clock.ts'
import { createKernel, InvalidUnits, NotReplaced, RequiredUnitFailed, StartStopped, type Change, type Kernel, type StopReport, type UnitDefinition } from '../../core/kernel/index.ts'
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts'

/** A time, or from within a change of state. */
interface Moment { atMs?: number, atChange?: number }

const delayMs = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 300 }))
const manner = fc.oneof(
  { weight: 6, arbitrary: fc.constant('works' as const) },
  fc.constantFrom('throws at once', 'rejects', 'throws null', 'rejects after its signal', 'ignores its signal', 'hangs', 'works the second time', 'cannot serve')
)
const undoManner = fc.oneof({ weight: 5, arbitrary: fc.constant('works' as const) }, fc.constantFrom('throws', 'throws null', 'rejects', 'hangs'))

const unitPlan = fc.record({
  manner,
  startMs: delayMs,
  /** Before it does what it does, and one more after. */
  steps: fc.array(fc.record({ manner: undoManner, ms: delayMs }), { maxLength: 3 }),
  /** Which of the units before it, as a fraction of their number. */
  needs: fc.array(fc.nat(999), { maxLength: 3 }),
  after: fc.array(fc.nat(999), { maxLength: 2 }),
  required: fc.integer({ min: 0, max: 9 }).map(one => one === 0),
  retry: fc.option(fc.record({ firstMs: fc.integer({ min: 1, max: 100 }), maxMs: fc.integer({ min: 50, max: 200 }) }), { nil: undefined }),
  startBudgetMs: fc.integer({ min: 50, max: 900 }),
  attemptBudgetMs: fc.option(fc.integer({ min: 20, max: 400 }), { nil: undefined }),
  recover: fc.option(fc.record({
    firstMs: fc.integer({ min: 1, max: 400 }), maxMs: fc.constant(60_000), resetAfterMs: fc.nat(500)
  }), { nil: undefined }),
  stopBudgetMs: fc.integer({ min: 0, max: 400 })
})
const plan = fc.record({
  units: fc.array(unitPlan, { minLength: 1, maxLength: 14 }),
  /** How many are given in a second call, and when: at a time, or from within a change of state of those of the first. */
  later: fc.nat(6),
  laterAt: fc.oneof(fc.record<Moment>({ atMs: delayMs }), fc.record<Moment>({ atChange: fc.nat(15) })),
  /** What an operator, a watch or a change of files does to one of the units meanwhile. */
  deeds: fc.array(fc.record({
    deed: fc.constantFrom('fail' as const, 'disable' as const, 'enable' as const, 'retry' as const, 'replace' as const),
    whom: fc.nat(999), atMs: fc.integer({ min: 0, max: 1_500 }), next: unitPlan
  }), { maxLength: 8 }),
  stopBudgetMs: fc.integer({ min: 0, max: 1_200 })
})
const stopAtMoment = fc.oneof(fc.record<Moment>({ atMs: fc.integer({ min: 0, max: 1_500 }) }), fc.record<Moment>({ atChange: fc.nat(45) }))
const hurry = fc.option(fc.record({ afterMs: fc.nat(400), budgetMs: fc.nat(300) }), { nil: undefined })

type Plan = typeof plan extends fc.Arbitrary<infer P> ? P : never
type UnitPlan = Plan['units'][number]

/** What a run of a plan left behind. */
interface Trace {
  readonly clock: FakeClock
  /** How many of the kernel's own sleepers there were when the stop had ended. */
  readonly sleepersAtEnd: number
  readonly kernel: Kernel
  readonly definitions: readonly UnitDefinition[]
  readonly changes: readonly (Change & { atMs: number })[]
  /** Steps by the unit's attempt, in the order they were registered and taken. */
  readonly attempts: readonly Attempt[]
  readonly starts: readonly Outcome[]
  readonly stop: StopReport
  readonly problems: readonly string[]
}
interface Attempt { readonly unit: string, readonly registered: string[], readonly taken: string[], hasServed: boolean }
interface Outcome { readonly settledAtMs: number, readonly latestMs: number }

async function run (
  { units: plans, later, laterAt, deeds, stopBudgetMs }: Plan, stopAt: Moment, hurried?: { afterMs: number, budgetMs: number }
): Promise<Trace> {
  const clock = createFakeClock(0)
  const changes: (Change & { atMs: number })[] = []
  const attempts: Attempt[] = []
  const problems: string[] = []
  const states = new Map<string, string>()
  let stopped: Promise<StopReport> | undefined
  const stop = (): Promise<StopReport> => {
    const joined = kernel.stop('test', { budgetMs: stopBudgetMs })
    if (stopped !== undefined && joined !== stopped) problems.push('callers of stop did not join')
    return stopped = joined
  }

  const sleepers = new Set<AbortSignal | undefined>()
  const kernelClock: Clock = {
    now: clock.now,
    sleep: async (ms, signal) => {
      sleepers.add(signal)
      await clock.sleep(ms, signal).finally(() => sleepers.delete(signal))
    }
  }
  const kernel = createKernel({
    clock: kernelClock,
    onChange: change => {
      if ((states.get(change.unit) ?? 'waiting') !== change.from) problems.push(`${change.unit} was not ${change.from}`)
      states.set(change.unit, change.to)
      changes.push({ ...change, atMs: clock.now() })
      checkOrder(change)
      if (changes.length - 1 === laterAt.atChange) startLater()
      if (changes.length - 1 === stopAt.atChange) void stop()
    }
  })

  const define = (unit: UnitPlan, index: number): UnitDefinition => {
    const pick = (numbers: readonly number[]): string[] => index === 0 ? [] : numbers.map(number => `u${number % index}`)
    const { retry, recover, attemptBudgetMs, required, startBudgetMs, stopBudgetMs } = unit
    return {
      id: `u${index}`, kind: 'plugin', needs: pick(unit.needs), after: [...pick(unit.after), 'nobody'], required, startBudgetMs, stopBudgetMs,
      ...(retry && { retry }), ...(recover && { recover }), ...(attemptBudgetMs !== undefined && { attemptBudgetMs }),
      start: startOf(unit, `u${index}`, clock, attempts)
    }
  }
  const definitions = plans.map(define)
  const known = new Map(definitions.map(definition => [definition.id, definition]))
  const checkOrder = ({ unit, to }: Change): void => {
    const { needs = [], after = [] } = known.get(unit) ?? {}
    if (to === 'starting') {
      for (const need of needs) if (states.get(need) !== 'running') problems.push(`${unit} started before its need ${need}`)
      for (const one of after.filter(one => one !== 'nobody')) {
        if (['waiting', 'starting', 'stopping', 'stopped'].includes(states.get(one) ?? 'waiting')) problems.push(`${unit} started before ${one} had settled`)
      }
    }
    if (to === 'stopping' || to === 'stopped') {
      for (const { id } of kernel.units()) {
        const other = known.get(id)
        const state = states.get(id) ?? 'waiting'
        if (other?.needs.includes(unit) === true && ['starting', 'running', 'stopping'].includes(state)) problems.push(`${unit} is ${to} before ${id}, which needs it and is ${state}`)
        const isBehind = other?.needs.includes(unit) === true || other?.after?.includes(unit) === true
        if (stopped !== undefined && to === 'stopped' && isBehind && state !== 'stopped') problems.push(`${unit} is ${to} before its dependent ${id} has stopped`)
      }
    }
  }

  const starts: Outcome[] = []
  const start = (batch: readonly UnitDefinition[]): void => {
    // One after another at the worst.
    const isUndisturbed = deeds.length === 0 && definitions.every(({ recover }) => recover === undefined)
    const latestMs = isUndisturbed ? clock.now() + definitions.reduce((sum, unit) => sum + unit.startBudgetMs, 0) : Infinity
    const settled = (): void => { starts.push({ settledAtMs: clock.now(), latestMs }) }
    kernel.start(batch).then(settled, (error: unknown) => {
      if (!(error instanceof RequiredUnitFailed || error instanceof StartStopped)) problems.push(String(error))
      settled()
    })
  }
  const first = definitions.slice(0, Math.max(0, definitions.length - later))
  let startLater = (): void => {
    startLater = () => undefined
    start(definitions.slice(first.length))
  }
  const done: Promise<void>[] = []
  const act = async ({ deed, whom, next }: Plan['deeds'][number]): Promise<void> => {
    const index = whom % plans.length
    const id = `u${index}`
    const definition = define(next, index)
    if (deed === 'fail') kernel.fail(id, new Error('found unwell'))
    else if (deed === 'retry') kernel.retry(id)
    else if (deed === 'enable') await kernel.enable(id)
    else if (deed === 'disable') await kernel.disable(id, 'an operator said so')
    else {
      const changesOf = (): number => changes.filter(({ unit }) => unit === id).length
      const serving = concurrent.size === 1 && states.get(id) === 'running'
        ? attempts.filter(({ unit, registered, taken }) => unit === id && registered.length > taken.length)
        : []
      const changesBefore = changesOf()
      await kernel.replace(definition, () => { known.set(id, definition) }).catch((error: unknown) => {
        if (!(error instanceof NotReplaced)) throw error
        const isUntouched = concurrent.size === 1 && changesOf() === changesBefore
        if (isUntouched && serving.some(({ taken }) => taken.length > 0)) problems.push(`${id} was not replaced and lost what it had`)
      })
    }
  }
  const concurrent = new Set<number>()
  for (const [index, deed] of deeds.entries()) {
    done.push(clock.sleep(deed.atMs).then(async () => {
      concurrent.add(index)
      await act(deed).catch((error: unknown) => {
        if (!(error instanceof RequiredUnitFailed || error instanceof StartStopped || error instanceof InvalidUnits)) problems.push(String(error))
      }).finally(() => concurrent.delete(index))
    }))
  }

  start(first)
  await clock.advance(laterAt.atMs ?? 1_000)
  startLater()
  await clock.advance(stopAt.atMs ?? 20_000)
  let sleepersAtEnd = -1
  const joined = stop().finally(() => { sleepersAtEnd = [...sleepers].filter(signal => signal?.aborted !== true).length })
  if (hurried !== undefined) {
    await clock.advance(hurried.afterMs)
    kernel.hurry(hurried.budgetMs)
  }
  await clock.runAll()
  void stop()
  const report = await joined
  await Promise.all(done)
  return { clock, sleepersAtEnd, kernel, definitions, changes, attempts, starts, stop: report, problems }
}

function startOf ({ manner, startMs, steps }: UnitPlan, unit: string, clock: FakeClock, attempts: Attempt[]): UnitDefinition['start'] {
  return async ({ signal, attempt, undo }) => {
    const trace: Attempt = { unit, registered: [], taken: [], hasServed: false }
    attempts.push(trace)
    const register = (name: string, step: UnitPlan['steps'][number]): void => {
      trace.registered.push(name)
      undo(name, async () => {
        trace.taken.push(name)
        if (step.manner === 'hangs') return hangs()
        if (step.manner === 'throws') throw new Error('step')
        await clock.sleep(step.ms)
        // eslint-disable-next-line @typescript-eslint/only-throw-error -- plugins do
        if (step.manner === 'throws null') throw null
        if (step.manner === 'rejects') throw new Error('step')
      })
    }
    for (const [index, step] of steps.entries()) register(`step ${index}`, step)
    if (manner === 'hangs') return hangs()
    if (manner === 'throws at once') throw new Error('start')
    await clock.sleep(startMs, manner === 'ignores its signal' ? undefined : signal)
    if (manner === 'rejects after its signal') {
      await new Promise(resolve => { signal.addEventListener('abort', resolve) })
      await clock.sleep(startMs)
    }
    register('last step', { manner: 'works', ms: startMs })
    // eslint-disable-next-line @typescript-eslint/only-throw-error -- plugins do
    if (manner === 'throws null') throw null
    if (manner === 'rejects' || manner === 'rejects after its signal' || (manner === 'works the second time' && attempt === 1)) throw new Error('start')
    return {
      serve: () => {
        if (manner === 'cannot serve') throw new Error('serve')
        trace.hasServed = true
        register('serve', { manner: 'works', ms: 0 })
      }
    }
  }
}

const hangs = (): Promise<never> => new Promise(() => undefined)

function check ({ clock, sleepersAtEnd, kernel, changes, attempts, starts, stop, problems }: Trace, budgetMs: number): void {
  assert.deepEqual(problems, [])
  assert.equal(starts.length, 2, 'each start settles')
  for (const { settledAtMs, latestMs } of starts) assert.ok(settledAtMs <= latestMs, 'each start settles within its budgets')
  // Shares of what is left are fractions of a millisecond, and so is what adding them up loses.
  assert.ok(stop.durationMs <= budgetMs + 1e-6, `the stop took ${stop.durationMs} of ${budgetMs} ms`)
  assert.ok(kernel.units().every(({ state }) => state === 'stopped'), 'all have stopped')
  assert.equal(sleepersAtEnd, 0, 'the kernel waits for nothing once it has stopped')
  assert.equal(clock.sleepers, 0, 'nothing is left')

  for (const { unit, registered, taken } of attempts) {
    assert.deepEqual(taken.toSorted(), registered.toSorted(), `${unit}: each registered step is taken once`)
    // The last step may have come after the others were taken.
    const inTime = taken.filter(name => name !== 'last step')
    assert.deepEqual(inTime, registered.filter(name => name !== 'last step').reverse(), `${unit}: newest first`)
  }
  const started = new Set(changes.filter(({ to }) => to === 'starting').map(({ unit }) => unit))
  assert.ok(attempts.every(({ unit }) => started.has(unit)))
  const reported = stop.units.map(({ id }) => id)
  assert.equal(new Set(reported).size, reported.length)
  for (const id of reported) assert.ok(started.has(id), `${id} was undone and never started`)
  for (const unit of started) {
    const last = changes.findLast(change => change.unit === unit && change.to !== 'stopping' && change.to !== 'stopped')
    if (last?.to === 'running') assert.ok(reported.includes(unit), `${unit} ran and is not in the report`)
    const served = attempts.filter(attempt => attempt.unit === unit && attempt.hasServed).length
    const ran = changes.filter(change => change.unit === unit && change.to === 'running').length
    assert.ok(served >= ran, `${unit} came to run ${ran} times and served ${served} times`)
  }
  const outcomes = stop.units.flatMap(({ steps }) => steps.map(({ outcome }) => outcome))
  if (stop.outcome === 'clean') assert.ok(outcomes.every(outcome => outcome === 'done' || outcome === 'abandoned'))
  if (stop.outcome === 'over budget') assert.ok(outcomes.includes('cut off'))
}

test('in random graphs starts follow needs, stops precede them, and all that started is undone', async () => {
  await fc.assert(fc.asyncProperty(plan, stopAtMoment, hurry, async (units, stopAt, hurried) => {
    check(await run(units, stopAt, hurried), units.stopBudgetMs)
  }), { numRuns: 600 })
})

test('a stop at every single step of a start keeps all of that', async () => {
  await fc.assert(fc.asyncProperty(plan, async units => {
    const { changes } = await run(units, { atMs: 20_000 })
    for (let atChange = 0; atChange < changes.length; atChange += 1) check(await run(units, { atChange }), units.stopBudgetMs)
  }), { numRuns: 40 })
})

test('a start settles with every unit running, failed or held, or with a failed required unit', async () => {
  await fc.assert(fc.asyncProperty(fc.array(unitPlan, { minLength: 1, maxLength: 14 }), async plans => {
    const clock = createFakeClock(0)
    const kernel = createKernel({ clock })
    const started = kernel.start(plans.map((unit, index) => ({
      id: `u${index}`, kind: 'plugin', needs: index === 0 ? [] : unit.needs.map(need => `u${need % index}`), required: unit.required,
      startBudgetMs: unit.startBudgetMs, stopBudgetMs: unit.stopBudgetMs, start: startOf(unit, `u${index}`, clock, [])
    })))
    const outcome = started.then(report => report.units.map(({ state }) => state), (error: unknown) => error as { code: string, unit: string })
    await clock.runAll()
    const settled = await outcome
    const states = new Map(kernel.units().map(({ id, state }) => [id, state]))
    if (Array.isArray(settled)) assert.ok(settled.every(state => ['running', 'failed', 'held'].includes(state)))
    else {
      assert.equal(settled.code, 'BULKHEAD_REQUIRED_UNIT_FAILED')
      assert.ok(['failed', 'held'].includes(states.get(settled.unit) ?? ''))
    }
    const works = ({ manner, startMs, startBudgetMs }: UnitPlan): boolean =>
      startMs < startBudgetMs && (manner === 'works' || manner === 'ignores its signal')
    for (const [index, unit] of plans.entries()) {
      const needs = index === 0 ? [] : unit.needs.map(need => states.get(`u${need % index}`))
      const state = states.get(`u${index}`)
      if (!Array.isArray(settled)) continue
      if (needs.some(need => need !== 'running')) assert.equal(state, 'held')
      else if (works(unit)) assert.equal(state, 'running')
      else if (unit.startMs !== unit.startBudgetMs) assert.equal(state, 'failed')
    }
    assert.equal(clock.sleepers, 0)
  }), { numRuns: 200 })
})
