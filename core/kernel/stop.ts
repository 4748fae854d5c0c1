// Takes all units down: each after everything that depends on it, independent ones at the same time.

import type { StartStopped } from './error.ts'
import { createStopReport, type StopReport, type UnitStopReport } from './report.ts'
import type { Undoing } from './undo.ts'
import type { Unit } from './unit.ts'

export async function stopUnits (units: readonly Unit[], undoing: Undoing, error: StartStopped, budgetMs: number): Promise<StopReport> {
  const { clock } = undoing
  const startedAt = clock.now()
  const reports: UnitStopReport[] = []
  undoing.limit(startedAt + budgetMs)
  for (const unit of units) unit.undone = []
  await backwards(units, async unit => {
    const beganAt = clock.now()
    const { id, state, undone: steps = [] } = unit
    const report = { id, state, durationMs: 0, steps }
    reports.push(report)
    await unit.stop(error)
    report.durationMs = clock.now() - beganAt
  })
  await undoing.done()
  for (const unit of units) unit.undone = undefined
  const started = reports.filter(({ state, steps }) => state === 'starting' || state === 'running' || state === 'stopping' || steps.length > 0)
  return createStopReport(error.reason, clock.now() - startedAt, clock.now() > undoing.limitMs, started)
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
