// Starts units in the order of their needs and stops them in the opposite one; the one place that knows them all.

import { Alarm } from './alarm.ts'
import type { UnitDefinition } from './definition.ts'
import { InvalidUnits, RequiredUnitFailed, StartStopped } from './error.ts'
import { findProblems, idsBefore } from './graph.ts'
import type { Kernel, KernelParts } from './kernel.ts'
import { createStartReport, type StartReport, type StopReport } from './report.ts'
import { stopUnits } from './stop.ts'
import { Undoing } from './undo.ts'
import { Unit, type UnitParts } from './unit.ts'

interface Call {
  readonly unsettled: Set<Unit>
  readonly resolve: (last: Unit | undefined) => void
  readonly reject: (error: Error) => void
}

export function createKernel ({ clock, onChange, onStep }: KernelParts): Kernel {
  const undoing = new Undoing(clock, new Alarm(clock))
  const units = new Map<string, Unit>()
  const calls = new Set<Call>()
  let ending: RequiredUnitFailed | StartStopped | undefined
  let stopping: PromiseWithResolvers<StopReport> | undefined
  const parts: UnitParts = {
    undoing,
    onChange: change => tell(() => onChange?.(change)),
    onStep: (unit, step) => tell(() => onStep?.(unit, step))
  }

  const start = async (definitions: readonly UnitDefinition[]): Promise<StartReport> => {
    if (ending !== undefined) throw ending
    const problems = findProblems(definitions, id => units.has(id))
    if (problems.length > 0) throw new InvalidUnits(problems)
    const calledAt = clock.now()
    const added = definitions.map(definition => new Unit(definition, parts))
    for (const unit of added) units.set(unit.id, unit)
    for (const unit of added) connect(unit)
    const { promise, resolve, reject } = Promise.withResolvers<StartReport>()
    const call = {
      unsettled: new Set(added), reject, resolve: (last: Unit | undefined) => resolve(createStartReport(added, clock.now() - calledAt, last))
    }
    calls.add(call)
    if (added.length === 0) close(call, undefined)
    // All that are held by an earlier call, before what follows from it lets others begin.
    const held = added.filter(holdIfNeeded)
    for (const unit of held) settle(unit)
    for (const unit of added) if (unit.state === 'waiting' && unit.unsettled === 0) begin(unit)
    return promise
  }

  const connect = (unit: Unit): void => {
    for (const id of idsBefore(unit.definition)) {
      const before = units.get(id)
      if (before === undefined) continue
      unit.before.push(before)
      before.dependents.push(unit)
      if (!before.isSettled) unit.unsettled += 1
    }
  }

  const holdIfNeeded = (unit: Unit): boolean => {
    if (unit.state !== 'waiting') return false
    const need = unit.before.find(before => before.cannotStart && isNeed(before, unit))
    if (need !== undefined) unit.hold(need)
    return need !== undefined
  }

  const begin = (unit: Unit): void => {
    if (ending === undefined) void unit.start().then(() => settle(unit))
  }

  // What follows from one unit's having settled: others begin, or are held and so settle too.
  const settle = (first: Unit): void => {
    if (first.settledAt === undefined) return
    const settled = [first]
    for (const unit of settled) {
      unit.isSettled = true
      if (unit.cannotStart && unit.definition.required) end(new RequiredUnitFailed(unit.id, unit.reason ?? unit.state, unit.error))
      for (const call of calls) {
        if (call.unsettled.delete(unit) && call.unsettled.size === 0) close(call, unit)
      }
      // A start may add units, which know already that this one has settled.
      for (const dependent of [...unit.dependents]) {
        if (dependent.state !== 'waiting') continue
        if (unit.cannotStart && isNeed(unit, dependent)) {
          dependent.hold(unit)
          settled.push(dependent)
          continue
        }
        dependent.unsettled -= 1
        if (dependent.unsettled > 0) continue
        dependent.last = unit
        begin(dependent)
      }
    }
  }

  const close = (call: Call, last: Unit | undefined): void => {
    calls.delete(call)
    call.resolve(last)
  }

  // Nothing starts any more from here on.
  const end = (error: RequiredUnitFailed | StartStopped): void => {
    if (ending !== undefined) return
    ending = error
    for (const unit of units.values()) unit.giveUp(error)
    for (const call of calls) call.reject(error)
    calls.clear()
  }

  const stop = (reason: string, { budgetMs }: { budgetMs: number }): Promise<StopReport> => {
    if (stopping === undefined) {
      stopping = Promise.withResolvers()
      const error = new StartStopped(reason)
      end(error)
      stopUnits([...units.values()], undoing, error, budgetMs).then(stopping.resolve, stopping.reject)
    }
    return stopping.promise
  }

  return {
    start,
    stop,
    hurry: budgetMs => {
      if (stopping !== undefined) undoing.limit(clock.now() + budgetMs)
    },
    units: () => [...units.values()].map(({ definition: { id, kind, needs }, state, since, reason, attempts }) =>
      ({ id, kind, state, since, reason, attempts, needs })),
    waiting: () => [...units.values()].filter(unit => unit.state === 'starting').map(({ id, attempts, reason }) =>
      ({ unit: id, for: reason === undefined ? `attempt ${attempts}` : `attempt ${attempts} (last error: ${reason})` }))
  }
}

const isNeed = (before: Unit, unit: Unit): boolean => unit.definition.needs.includes(before.id)

// What a listener throws must not keep the kernel from its work; it goes where uncaught errors go.
function tell (listen: () => void): void {
  try {
    listen()
  } catch (error) {
    queueMicrotask(() => { throw error })
  }
}
