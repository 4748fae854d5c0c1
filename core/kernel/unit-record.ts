// Records what the kernel knows about one unit: its place in the graph, its state, and which unit is to blame for it. Only methods change it.

import { idsBefore } from './graph.ts'
import { describe } from './kernel-error.ts'
import { RetryPlan } from './retry-plan.ts'
import type { Timing } from './start-turn.ts'
import { isMove, type State } from './state.ts'
import type { StepReport, Undoing } from './undo.ts'
import type { UnitDefinition } from './unit-definition.ts'

export interface Change {
  readonly unit: string
  readonly from: State
  readonly to: State
  readonly reason?: string
  /** The thrown error, when an error caused the change. */
  readonly error?: Error
}

export interface UnitParts {
  readonly undoing: Undoing
  /** The clock and the alarm of start budgets. */
  readonly budget: Timing
  /** Returns what the unit with this id has opened. */
  valueOf (id: string): unknown
  onChange (change: Change): void
  onStep (unit: string, step: StepReport): void
}

const downStates: ReadonlySet<State> = new Set<State>(['quarantined', 'failed', 'held', 'disabled', 'stopped'])

export class UnitRecord {
  definition: UnitDefinition
  /** The units of `needs` and `after`: they settle before this one starts, and stop after it. */
  readonly before = new Set<this>()
  readonly dependents = new Set<this>()
  /** The unit of `before` that settled last, or the one that holds this unit. */
  last: this | undefined
  state: State = 'waiting'
  since: number
  readonly addedAt: number
  startedAt: number | undefined
  settledAt: number | undefined
  attempts = 0
  restarts = 0
  /** Why it is in this state, or why the last attempt failed. */
  reason: string | undefined
  error: Error | undefined
  readonly retry = new RetryPlan()
  /** Pending while the unit and all units that need it are taken down. */
  leaving: Promise<void> | undefined
  protected readonly parts: UnitParts
  // The ids from this unit to the unit to blame; `#why` is the reason.
  #path: string
  #why = ''

  constructor (definition: UnitDefinition, parts: UnitParts) {
    this.definition = definition
    this.parts = parts
    this.#path = definition.id
    this.addedAt = this.since = this.now()
  }

  get id (): string {
    return this.definition.id
  }

  /** Units that need this one cannot start. */
  get isDown (): boolean {
    return downStates.has(this.state)
  }

  /** It runs or is down for now, so units that come after it need not wait. */
  get isSettled (): boolean {
    return this.leaving === undefined && (this.state === 'running' || this.isDown)
  }

  get isActive (): boolean {
    return this.state === 'starting' || this.state === 'running'
  }

  get blamed (): string {
    return this.#path === this.id ? this.#why : `${this.#path} (${this.#why})`
  }

  needs (other: UnitRecord): boolean {
    return this.definition.needs.includes(other.id)
  }

  /** Connects the unit with the units before it, in the way that this definition names them. */
  connect (definition: UnitDefinition, units: ReadonlyMap<string, this>): void {
    this.definition = definition
    for (const before of this.before) before.dependents.delete(this)
    this.before.clear()
    for (const id of idsBefore(definition)) {
      const before = units.get(id)
      if (before === undefined) continue
      this.before.add(before)
      before.dependents.add(this)
    }
  }

  /** Blames the unit itself. */
  blame (error: Error, why = describe(error)): void {
    this.error = error
    this.#path = this.id
    this.#why = why
  }

  /** Blames `need`, or the unit that `need` blames. `why` is given when the obstacle is not the state of `need`. */
  blameNeed (need: this, why?: string): void {
    this.last = need
    this.error = why === undefined ? need.error : undefined
    this.#path = `${this.id} → ${why === undefined ? need.#path : need.id}`
    this.#why = why ?? need.#why
  }

  /** Holds the unit for now. Returns false when it was already held; then only the reason changes. */
  hold (): boolean {
    this.retry.makeDue()
    if (this.state !== 'held') {
      this.move('held', this.blamed)
      return true
    }
    this.reason = this.blamed
    return false
  }

  /** Called when the unit would start, but a unit that it comes after has not settled. */
  wait (): void {
    if (this.state !== 'waiting' && this.state !== 'held') this.move('waiting')
  }

  /** Runs `work`, which takes the unit down and then calls `hasLeft`. The unit is unsettled until that call. */
  leaveBy (work: (hasLeft: () => void) => Promise<void>): Promise<void> {
    return this.leaving = work(() => { this.leaving = undefined })
  }

  protected now (): number {
    return this.parts.undoing.clock.now()
  }

  // This is the only place that changes the state.
  protected move (to: State, reason?: string): void {
    const from = this.state
    if (!isMove(from, to)) throw new Error(`Unit "${this.id}" cannot go from ${from} to ${to}`)
    const now = this.now()
    const { recover } = this.definition
    const endsLongRun = from === 'running' && recover !== undefined && now - this.since >= recover.resetAfterMs
    const isHeldByNeed = to === 'held' && this.#path !== this.id
    this.state = to
    this.since = now
    this.reason = reason
    this.retry.note({
      endsLongRun, isDue: to === 'waiting' || isHeldByNeed, isFailure: to === 'quarantined' || (to === 'held' && !isHeldByNeed)
    })
    if (to === 'running' || this.isDown) this.settledAt = now
    const error = to === 'quarantined' || to === 'failed' ? this.error : undefined
    this.parts.onChange({ unit: this.id, from, to, ...(reason !== undefined && { reason }), ...(error && { error }) })
  }
}
