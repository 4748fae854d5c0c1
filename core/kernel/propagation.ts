// Decides what follows when a unit comes up or goes down: which units start, are held or stop, and when a unit is retried.

import { UnitHeld } from './kernel-error.ts'
import type { Undoing } from './undo.ts'
import type { Down, Unit } from './unit.ts'

interface Obstacle {
  readonly need: Unit
  /** Set when the need runs but the unit refuses it. */
  readonly why?: string
}

export class Propagation {
  readonly #undoing: Undoing
  readonly #onSettled: (unit: Unit) => void
  readonly #settled: Unit[] = []
  #isTelling = false
  #isOver = false

  constructor (undoing: Undoing, onSettled: (unit: Unit) => void) {
    this.#undoing = undoing
    this.#onSettled = onSettled
  }

  /** From this call on, nothing starts and nothing is retried. */
  end (units: Iterable<Unit>, reason: Error): void {
    this.#isOver = true
    for (const unit of units) {
      unit.retry.cancel()
      unit.giveUp(reason)
    }
  }

  /**
   * Considers added units. Those that an obstacle already blocks come first, before the consequences let other units
   * begin.
   */
  enter (units: readonly Unit[]): void {
    for (const unit of units) if (findObstacle(unit) !== undefined) this.consider(unit)
    for (const unit of units) this.consider(unit)
  }

  /** Starts, holds or takes down the unit, when the state of the units before it requires that. */
  consider (unit: Unit, cause?: Unit): void {
    if (this.#isOver || unit.leaving !== undefined) return
    const obstacle = findObstacle(unit)
    if (unit.isActive) {
      if (obstacle !== undefined) void this.#takeDownFor(unit, obstacle)
    } else if (unit.retry.isDue && obstacle !== undefined) {
      unit.blameNeed(obstacle.need, obstacle.why)
      if (unit.hold()) this.#settle(unit)
    } else if (unit.retry.isDue) {
      if ([...unit.before].every(before => before.isSettled)) this.#begin(unit, cause)
      else unit.wait()
    }
  }

  /** Retries the unit now, however long the planned pause was. */
  retry (unit: Unit): void {
    unit.retry.makeDue()
    this.consider(unit)
  }

  /**
   * Takes the unit down after every unit that needs it; those are held. Callers join, and `to` is what the first caller
   * gave.
   */
  takeDown (unit: Unit, error: Error, to: Down): Promise<void> {
    if (unit.leaving !== undefined) return unit.leaving
    unit.blame(error)
    unit.retry.cancel()
    return this.#takeDown(unit, error, to)
  }

  #takeDownFor (unit: Unit, { need, why }: Obstacle): Promise<void> {
    if (unit.leaving !== undefined) return unit.leaving
    unit.blameNeed(need, why)
    return this.#takeDown(unit, new UnitHeld(unit.blamed), 'held')
  }

  #takeDown (unit: Unit, error: Error, to: Down): Promise<void> {
    return unit.leaveBy(async hasLeft => {
      // Yields first, so that a long chain of needs does not become a deep call stack.
      await Promise.resolve()
      const above = [...unit.dependents].filter(dependent => dependent.needs(unit) && (dependent.isActive || dependent.leaving !== undefined))
      await Promise.all(above.map(dependent => this.#takeDownFor(dependent, { need: unit })))
      // During a stop, `stopUnits` decides the order.
      if (!this.#isOver) await unit.leave(error, to)
      hasLeft()
      this.#settle(unit)
      // The units that it needs may have come back meanwhile.
      this.consider(unit)
    })
  }

  #begin (unit: Unit, cause: Unit | undefined): void {
    void unit.start(cause).then(() => this.#settle(unit))
  }

  #settle (first: Unit): void {
    this.#settled.push(first)
    if (this.#isTelling) return
    this.#isTelling = true
    for (let unit = this.#settled.shift(); unit !== undefined; unit = this.#settled.shift()) this.#tell(unit)
    this.#isTelling = false
  }

  #tell (unit: Unit): void {
    if (this.#isOver || !unit.isSettled) return
    this.#planRetry(unit)
    this.#onSettled(unit)
    for (const dependent of [...unit.dependents]) this.consider(dependent, unit)
  }

  #planRetry (unit: Unit): void {
    const { state, definition: { recover } } = unit
    if (recover !== undefined && (state === 'quarantined' || state === 'held')) unit.retry.plan(recover, this.#undoing, () => this.retry(unit))
  }
}

/** Returns the first dependency that blocks this unit: it is down, or it runs but the unit refuses it. */
function findObstacle (unit: Unit): Obstacle | undefined {
  for (const need of unit.before) {
    if (!unit.needs(need) || !need.isSettled) continue
    if (need.isDown) return { need }
    const why = unit.definition.refuses?.(need.id)
    if (why !== undefined) return { need, why }
  }
  return undefined
}
