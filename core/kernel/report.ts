// Reports how a start and a stop went, as data for tools and as a few lines of text for operators.

import { describe } from './kernel-error.ts'
import type { State } from './state.ts'
import type { StepReport } from './undo.ts'
import type { UnitKind } from './unit-definition.ts'
import type { Unit } from './unit.ts'

const number = new Intl.NumberFormat('en')

export interface UnitSpan {
  readonly id: string
  readonly kind: UnitKind
  readonly state: State
  /** Milliseconds from the call of `start` until this unit could begin, or was held. */
  readonly waitedForMs: number
  /** Milliseconds since the Unix epoch; undefined when it never began. */
  readonly startedAt: number | undefined
  /** Milliseconds of all attempts together. */
  readonly durationMs: number
  readonly attempts: number
  /** Why it failed or is held, in words. */
  readonly reason?: string
  /** The error thrown by this unit, or by the unit that holds it. */
  readonly error?: Error
  readonly needs: readonly string[]
  /** The unit it waited for longest, or the unit that holds it. */
  readonly lastNeed?: string
}

export interface StartReport {
  readonly totalMs: number
  /** The units in the order in which they were given. */
  readonly units: readonly UnitSpan[]
  /** The chain of units from the first one to the one that settled last; each waited for the one before it. */
  readonly criticalPath: readonly string[]
}

export interface UnitStopReport {
  readonly id: string
  readonly durationMs: number
  /** Milliseconds that it was allowed to take of the remaining time. */
  readonly shareMs: number
  /** The state in which the stop found the unit. */
  readonly state: State
  readonly steps: readonly StepReport[]
}

export interface StopReport {
  readonly reason: string
  readonly outcome: 'clean' | 'errors' | 'over budget'
  readonly durationMs: number
  /** The units that were started, in the order in which they were stopped. */
  readonly units: readonly UnitStopReport[]
}

/** `last` is the unit that settled last. */
export function createStartReport (units: readonly Unit[], totalMs: number, last: Unit | undefined): StartReport {
  const criticalPath: string[] = []
  const own = new Set(units)
  for (let unit = last; unit !== undefined && own.has(unit); unit = unit.last) criticalPath.push(unit.id)
  return { totalMs, units: units.map(createSpan), criticalPath: criticalPath.reverse() }
}

function createSpan (unit: Unit): UnitSpan {
  const { definition: { id, kind, needs }, state, addedAt, startedAt, settledAt = addedAt, attempts, reason, error, last } = unit
  return {
    id, kind, state, needs, attempts, startedAt, durationMs: settledAt - (startedAt ?? settledAt), waitedForMs: (startedAt ?? settledAt) - addedAt,
    ...(reason !== undefined && { reason }), ...(error && { error }), ...(last && { lastNeed: last.id })
  }
}

export function createStopReport (reason: string, durationMs: number, isOver: boolean, units: readonly UnitStopReport[]): StopReport {
  const outcomes = new Set(units.flatMap(unit => unit.steps.map(step => step.outcome)))
  const outcome = isOver || outcomes.has('cut off') ? 'over budget' : outcomes.has('failed') ? 'errors' : 'clean'
  return { reason, outcome, durationMs, units }
}

/**
 * Renders a tree: each unit stands under the unit it waited for longest, with its own duration. A star marks the
 * critical path.
 */
export function renderStartReport ({ totalMs, units, criticalPath }: StartReport): string {
  const ids = new Set(units.map(unit => unit.id))
  const critical = new Set(criticalPath)
  const children = Map.groupBy(units, ({ lastNeed }) => lastNeed !== undefined && ids.has(lastNeed) ? lastNeed : undefined)
  const byState = Map.groupBy(units, ({ state }) => state)
  const running = byState.get('running')?.length ?? 0
  byState.delete('running')
  const others = [...byState].map(([state, some]) => `, ${number.format(some.length)} ${state}`).join('')
  const lines = [`started ${number.format(running)} of ${count(units.length)} in ${ms(totalMs)}${others} (* the critical path)`]
  const stack = branches(children.get(undefined) ?? [], '')
  for (let branch = stack.pop(); branch !== undefined; branch = stack.pop()) {
    const { unit, stem, isLast } = branch
    lines.push(`${stem}${isLast ? '└── ' : '├── '}${describeSpan(unit)}${critical.has(unit.id) ? ' *' : ''}`)
    stack.push(...branches(children.get(unit.id) ?? [], `${stem}${isLast ? '    ' : '│   '}`))
  }
  return lines.join('\n')
}

/** A unit that takes at least this long to stop gets a line of its own. */
const noticeableMs = 100

/**
 * Renders one line, one more for each slow unit with the time it was allowed to take, and one for each step that
 * failed, was cut off or was abandoned.
 */
export function renderStopReport ({ reason, outcome, durationMs, units }: StopReport): string {
  const details = units.flatMap(({ id, durationMs: usedMs, shareMs, steps }) => [
    ...usedMs >= noticeableMs ? [`${id} used ${ms(usedMs)} of ${ms(shareMs)}`] : [],
    ...steps.filter(step => step.outcome !== 'done').map(({ name, outcome, durationMs, error }) =>
      `${id}: "${name}" ${outcome === 'failed' ? `failed: ${error === undefined ? '' : describe(error)}` : `was ${outcome} after ${ms(durationMs)}`}`)
  ])
  return [
    `stopped ${count(units.length)} in ${ms(durationMs)}: ${outcome} (${reason})`,
    ...details.map((line, index) => `${index === details.length - 1 ? '└── ' : '├── '}${line}`)
  ].join('\n')
}

interface Branch { readonly unit: UnitSpan, readonly stem: string, readonly isLast: boolean }

// The result is in reverse order, because branches are taken from the end of the stack.
function branches (units: readonly UnitSpan[], stem: string): Branch[] {
  return units.map((unit, index) => ({ unit, stem, isLast: index === units.length - 1 })).reverse()
}

function describeSpan ({ id, state, durationMs, attempts, reason }: UnitSpan): string {
  const took = attempts === 0 ? id : `${id} ${ms(durationMs)}`
  if (state !== 'running') return `${took} ${state}${reason === undefined ? '' : `: ${reason}`}`
  return attempts > 1 ? `${took}, ${attempts} attempts` : took
}

const count = (units: number): string => `${number.format(units)} ${units === 1 ? 'unit' : 'units'}`
const ms = (duration: number): string => `${number.format(Math.round(duration))} ms`
