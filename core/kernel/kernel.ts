// Creates the kernel: it starts units in the order of their needs, keeps them running, and stops them in reverse. Only this file knows all units.

import { Alarm } from './alarm.ts'
import { findProblems } from './graph.ts'
import type { KernelParts, RootKernel, UnitSnapshot } from './kernel-api.ts'
import { Disabled, InvalidUnits, NotReplaced, RequiredUnitFailed, StartStopped } from './kernel-error.ts'
import { Propagation } from './propagation.ts'
import { createStartReport, type StartReport, type StopReport } from './report.ts'
import { stopUnits } from './stop.ts'
import { Undoing, type StepReport } from './undo.ts'
import type { UnitDefinition } from './unit-definition.ts'
import type { UnitParts } from './unit-record.ts'
import { Unit } from './unit.ts'

interface Call {
  readonly unsettled: Set<Unit>
  readonly resolve: (last: Unit | undefined) => void
  readonly reject: (error: Error) => void
}

export function createKernel ({ clock, budgetClock = clock, onChange, onStep }: KernelParts): RootKernel {
  const undoing = new Undoing(clock, new Alarm(clock))
  const units = new Map<string, Unit>()
  const calls = new Set<Call>()
  const started = new Set<Unit>()
  const turns = new Map<string, Promise<void>>()
  let ending: RequiredUnitFailed | StartStopped | undefined
  let stopping: PromiseWithResolvers<StopReport> | undefined
  const parts: UnitParts = {
    undoing,
    budget: { clock: budgetClock, alarm: budgetClock === clock ? undoing.alarm : new Alarm(budgetClock) },
    valueOf: id => units.get(id)?.opened?.value,
    onChange: change => tell(() => onChange?.(change)),
    onStep: (unit, step) => tell(() => onStep?.(unit, step))
  }

  const course = new Propagation(undoing, unit => {
    const isFirst = !started.has(unit)
    started.add(unit)
    if (isFirst && unit.definition.required && unit.isDown && unit.state !== 'disabled') {
      end(new RequiredUnitFailed(unit.id, unit.reason ?? unit.state, unit.error))
    }
    for (const call of calls) {
      if (call.unsettled.delete(unit) && call.unsettled.size === 0) close(call, unit)
    }
  })

  const start = async (definitions: readonly UnitDefinition[]): Promise<StartReport> => {
    if (ending !== undefined) throw ending
    const problems = findProblems(definitions, id => units.has(id))
    if (problems.length > 0) throw new InvalidUnits(problems)
    const calledAt = clock.now()
    const added = definitions.map(definition => new Unit(definition, parts))
    for (const unit of added) units.set(unit.id, unit)
    for (const unit of added) unit.connect(unit.definition, units)
    const settled = untilSettled(added)
    for (const unit of added) {
      if (unit.definition.disabled !== undefined) void course.takeDown(unit, new Disabled(unit.definition.disabled), 'disabled')
    }
    course.enter(added)
    const last = await settled
    return createStartReport(added, clock.now() - calledAt, last)
  }

  const untilSettled = async (waitedFor: readonly Unit[]): Promise<Unit | undefined> => {
    if (ending !== undefined) throw ending
    const { promise, resolve, reject } = Promise.withResolvers<Unit | undefined>()
    const call = { unsettled: new Set(waitedFor), resolve, reject }
    calls.add(call)
    if (waitedFor.length === 0) close(call, undefined)
    return promise
  }

  const close = (call: Call, last: Unit | undefined): void => {
    calls.delete(call)
    call.resolve(last)
  }

  // From this call on, nothing starts.
  const end = (error: RequiredUnitFailed | StartStopped): void => {
    if (ending !== undefined) return
    ending = error
    course.end(units.values(), error)
    for (const call of calls) call.reject(error)
    calls.clear()
  }

  /**
   * Runs the changes of one unit one after another. By default each waits until the unit is neither starting nor being
   * taken down.
   */
  const inTurn = <T>(id: string, work: (unit: Unit) => Promise<T>, isReady = (unit: Unit): boolean => unit.isSettled): Promise<T> => {
    const turn = (turns.get(id) ?? Promise.resolve()).then(async () => {
      for (;;) {
        if (ending !== undefined) throw ending
        const unit = units.get(id)
        if (unit === undefined) throw new InvalidUnits([`There is no unit "${id}".`])
        if (isReady(unit)) return work(unit)
        await (unit.leaving ?? untilSettled([unit]))
      }
    })
    const over = turn.then(() => undefined, () => { /* The caller of this turn has received the error. */ })
    turns.set(id, over)
    return turn
  }

  const replace = async (unit: Unit, definition: UnitDefinition, onSwitch?: () => void): Promise<readonly StepReport[]> => {
    const problems = findProblems([...units.values()].map(other => other === unit ? definition : other.definition), () => false)
    if (problems.length > 0) throw new InvalidUnits(problems)
    const onTaken = (): void => {
      unit.connect(definition, units)
      onSwitch?.()
      for (const dependent of [...unit.dependents]) course.consider(dependent, unit)
    }
    // Checked before the new generation starts and again before it takes over: a need may have gone down in between.
    const findObstacle = (): string | undefined => {
      for (const id of definition.needs) {
        const need = units.get(id)
        const why = need?.state === 'running' && need.isSettled ? definition.refuses?.(id) : `it needs "${id}", which does not run`
        if (why !== undefined) return why
      }
      return undefined
    }
    if (unit.state === 'running') return unit.replace(definition, { findObstacle, onTaken })
    onTaken()
    if (unit.state === 'disabled') return []
    await begin(unit)
    if (!isRunning(unit)) throw new NotReplaced(unit.id, unit.reason ?? `it is ${unit.state}`, { cause: unit.error })
    return []
  }

  const begin = async (unit: Unit): Promise<void> => {
    course.retry(unit)
    if (!unit.isSettled) await untilSettled([unit])
  }

  return {
    start,
    replace: (definition, onSwitch) => inTurn(definition.id, unit => replace(unit, definition, onSwitch)),
    enable: id => inTurn(id, async unit => { if (unit.state === 'disabled') await begin(unit) }),
    disable: (id, reason) => {
      const error = new Disabled(reason)
      // A start or a replacement that hangs must not delay the disable.
      units.get(id)?.giveUpReplacement(error)
      return inTurn(id, async unit => {
        if (unit.state !== 'disabled') await course.takeDown(unit, error, 'disabled')
      }, unit => unit.isSettled || (unit.state === 'starting' && unit.leaving === undefined))
    },
    fail: (id, error) => {
      const unit = units.get(id)
      if (ending !== undefined || unit?.state !== 'running' || unit.leaving !== undefined) return
      void course.takeDown(unit, error, unit.definition.recover === undefined ? 'failed' : 'quarantined')
    },
    retry: id => {
      const unit = units.get(id)
      if (unit?.retry.atMs !== undefined) course.retry(unit)
    },
    stop: (reason, { budgetMs }) => {
      if (stopping === undefined) {
        stopping = Promise.withResolvers()
        const error = new StartStopped(reason)
        end(error)
        stopUnits([...units.values()], undoing, error, budgetMs).then(stopping.resolve, stopping.reject)
      }
      return stopping.promise
    },
    hurry: budgetMs => {
      if (stopping !== undefined) undoing.limit(clock.now() + budgetMs)
    },
    valueOf: <Value>({ id }: UnitDefinition<Value>) => {
      const opened = units.get(id)?.opened
      if (opened === undefined) throw new Error(`"${id}" does not run, so it has opened nothing`)
      return opened.value as Value
    },
    units: () => [...units.values()].map(snapshot),
    unit: id => {
      const unit = units.get(id)
      return unit && snapshot(unit)
    },
    waiting: () => [...units.values()].filter(unit => unit.state === 'starting').map(({ id, attempts, reason, dependents }) => ({
      unit: id,
      for: reason === undefined ? `attempt ${attempts}` : `attempt ${attempts} (last error: ${reason})`,
      by: [...dependents].filter(({ state }) => state === 'waiting').map(dependent => dependent.id)
    }))
  }
}

const snapshot = ({ definition: { id, kind, needs, required }, state, since, reason, attempts, restarts, retry, opened }: Unit): UnitSnapshot =>
  ({ id, kind, required, state, since, reason, attempts, restarts, retryAt: retry.atMs, needs, check: opened?.check })

const isRunning = (unit: Unit): boolean => unit.state === 'running'

// An error thrown by a listener must not interrupt the kernel; it is rethrown as an uncaught error.
function tell (listen: () => void): void {
  try {
    listen()
  } catch (error) {
    queueMicrotask(() => { throw error })
  }
}
