// Stops all units: each one after every unit that depends on it, independent units at the same time.

import type { StartStopped } from './kernel-error.ts'
import { createStopReport, type StopReport, type UnitStopReport } from './report.ts'
import type { Undoing } from './undo.ts'
import type { Unit } from './unit.ts'

export async function stopUnits (units: readonly Unit[], undoing: Undoing, error: StartStopped, budgetMs: number): Promise<StopReport> {
  const { clock } = undoing
  const startedAt = clock.now()
  const reports: UnitStopReport[] = []
  undoing.limit(startedAt + budgetMs)
  const undone = new Map(units.map(unit => [unit, unit.collectUndone()]))
  const partOf = divide(units)
  await backwards(units, async unit => {
    const beganAt = clock.now()
    const { id, state, definition: { stopBudgetMs, stopIsReserved: isReserved = false } } = unit
    const steps = undone.get(unit) ?? []
    const part = partOf(unit)
    const leftMs = Math.max(0, undoing.limitMs - beganAt)
    const shareMs = isReserved ? Math.min(stopBudgetMs, leftMs) : leftMs * part
    const report = { id, state, durationMs: 0, shareMs, steps }
    reports.push(report)
    await unit.stop(error, { part, isReserved })
    report.durationMs = clock.now() - beganAt
  })
  await undoing.done()
  const started = reports.filter(({ state, steps }) => state === 'starting' || state === 'running' || state === 'stopping' || steps.length > 0)
    // A step that ends later is in no report.
    .map(report => ({ ...report, steps: [...report.steps] }))
  return createStopReport(error.reason, clock.now() - startedAt, clock.now() > undoing.limitMs, started)
}

/**
 * Returns the fraction of the remaining time that a unit may take when its turn comes: its own budget divided by the
 * sum of that budget and the longest chain of budgets still behind it. So each unit keeps its share even if an earlier
 * one hangs, and time that one unit does not use is available to the others.
 */
function divide (units: readonly Unit[]): (unit: Unit) => number {
  const behindMs = new Map<Unit, number>()
  // The loop avoids a deep call stack on a long chain of needs: units that stop after a unit are computed before it.
  const left = new Map(units.map(unit => [unit, unit.before.size]))
  const free = units.filter(unit => unit.before.size === 0)
  for (const unit of free) {
    behindMs.set(unit, Math.max(0, ...[...unit.before].map(before => before.definition.stopBudgetMs + (behindMs.get(before) ?? 0))))
    for (const dependent of unit.dependents) {
      const count = (left.get(dependent) ?? 0) - 1
      left.set(dependent, count)
      if (count === 0) free.push(dependent)
    }
  }
  return unit => {
    const ownMs = unit.definition.stopBudgetMs
    const allMs = ownMs + (behindMs.get(unit) ?? 0)
    return allMs === 0 ? 1 : ownMs / allMs
  }
}

async function backwards (units: readonly Unit[], visit: (unit: Unit) => Promise<void>): Promise<void> {
  const dependents = new Map(units.map(unit => [unit, unit.dependents.size]))
  const wasLastDependent = (unit: Unit): boolean => {
    const left = (dependents.get(unit) ?? 0) - 1
    dependents.set(unit, left)
    return left === 0
  }
  const take = async (unit: Unit): Promise<void> => {
    await visit(unit)
    await Promise.all([...unit.before].filter(wasLastDependent).map(take))
  }
  await Promise.all(units.filter(unit => unit.dependents.size === 0).map(take))
}
