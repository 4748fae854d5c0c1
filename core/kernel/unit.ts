// One unit: its state, its attempts to start, and its way out.

import { Attempt } from './attempt.ts'
import type { UnitDefinition } from './definition.ts'
import { BudgetExceeded, Held, describe, type StartStopped } from './error.ts'
import { isMove, type State } from './state.ts'
import { Undo, type StepReport, type Undoing } from './undo.ts'

export interface Change {
  readonly unit: string
  readonly from: State
  readonly to: State
  readonly reason?: string
}

export interface UnitParts {
  readonly undoing: Undoing
  onChange (change: Change): void
  onStep (unit: string, step: StepReport): void
}

export class Unit {
  readonly definition: UnitDefinition
  /** Needs and `after`: settled before this one starts, stopped after it. */
  readonly before: Unit[] = []
  readonly dependents: Unit[] = []
  /** How many of `before` have not settled. */
  unsettled = 0
  /** Its dependents have been told that it runs, has failed or is held. */
  isSettled = false
  /** The one of `before` that settled last. */
  last: Unit | undefined
  readonly addedAt: number
  startedAt: number | undefined
  settledAt: number | undefined
  since: number
  attempts = 0
  /** Why it is in this state, or why the last attempt failed. */
  reason: string | undefined
  error: Error | undefined
  /** The steps taken since the stop began, while it is under way. */
  undone: StepReport[] | undefined
  readonly #parts: UnitParts
  #state: State = 'waiting'
  #attempt: Attempt | undefined
  #isToldToStop = false
  #wake: (() => void) | undefined
  #thrown: Error | undefined
  // From a held unit to the one that failed.
  #path: string
  #root: Unit

  constructor (definition: UnitDefinition, parts: UnitParts) {
    this.definition = definition
    this.#parts = parts
    this.#path = definition.id
    this.#root = this
    this.addedAt = this.since = parts.undoing.clock.now()
  }

  get id (): string {
    return this.definition.id
  }

  get state (): State {
    return this.#state
  }

  get cannotStart (): boolean {
    return this.#state === 'failed' || this.#state === 'held'
  }

  /** Resolves when it runs, has failed, or was told to give up; in the last case `stop` undoes what it registered. */
  async start (): Promise<void> {
    const { clock } = this.#parts.undoing
    const { startBudgetMs, attemptBudgetMs = startBudgetMs, retry } = this.definition
    this.startedAt = clock.now()
    const deadline = this.startedAt + startBudgetMs
    this.#move('starting')
    while (this.#mayGoOn()) {
      this.attempts += 1
      const attempt = this.#attempt = new Attempt(this.#createUndo())
      const budgetMs = Math.min(attemptBudgetMs, deadline - clock.now())
      void attempt.run(this.definition, this.attempts)
      await this.#until(clock.now() + budgetMs, attempt.settled)
      if (!this.#mayGoOn()) return
      if (attempt.outcome === 'started') {
        this.error = undefined
        this.#move('running')
        return
      }
      const error = attempt.error ?? new BudgetExceeded('start', budgetMs)
      // The undoing ends with the start budget too: whoever waits for this unit is not kept any longer.
      await this.#until(deadline, attempt.end(error))
      if (!this.#mayGoOn()) return
      if (error instanceof Held) {
        this.error = error
        this.#move('held', describe(error))
        return
      }
      this.#note(error, attempt.error)
      const pauseMs = retry === undefined ? Infinity : Math.min(retry.firstMs * 2 ** (this.attempts - 1), retry.maxMs)
      if (clock.now() + pauseMs >= deadline) {
        this.#move('failed', this.#inAllAttempts())
        return
      }
      await this.#until(clock.now() + pauseMs)
    }
  }

  /** It will not start, because `need` did not come up. */
  hold (need: Unit): void {
    this.last = need
    this.error = need.error
    this.#root = need.#root
    this.#path = `${this.id} → ${need.#path}`
    this.#move('held', `${this.#path} (${this.#root.reason ?? this.#root.state})`)
  }

  /** Aborts a start that is under way. What it registered is left to `stop`. */
  giveUp (reason: Error): void {
    if (this.#state !== 'starting') return
    this.#isToldToStop = true
    this.#attempt?.abort(reason)
    this.#wake?.()
  }

  /** Undoes what is there to undo, in every state. */
  async stop (error: StartStopped): Promise<void> {
    this.giveUp(error)
    const hasStarted = this.#state === 'starting' || this.#state === 'running'
    if (this.#attempt !== undefined && (hasStarted || !this.#attempt.undo.isDone)) {
      this.#move('stopping', error.reason)
      await this.#attempt.end(error)
    }
    this.#move('stopped', error.reason)
  }

  #createUndo (): Undo {
    return new Undo(this.#parts.undoing, this.definition.stopBudgetMs, step => {
      this.undone?.push(step)
      this.#parts.onStep(this.id, step)
    })
  }

  // A start that ran out of time says little; what one threw says more, be it in answer to its signal or in an attempt before.
  #note (error: Error, thrown: Error | undefined): void {
    const isOver = error instanceof BudgetExceeded
    if (thrown !== undefined && thrown.name !== 'AbortError' && !(isOver && thrown === error)) this.#thrown = thrown
    if (isOver && this.#thrown !== undefined) error.cause = this.#thrown
    this.error = error
    this.reason = describe(error)
  }

  #inAllAttempts (): string {
    const reason = this.reason ?? ''
    if (this.attempts === 1) return reason
    return `${this.attempts} attempts in ${Math.round(this.#parts.undoing.clock.now() - (this.startedAt ?? 0))} ms, the last one: ${reason}`
  }

  // Asked after every wait: a stop may have come in the meantime, and from then on the unit is in its hands.
  #mayGoOn (): boolean {
    return !this.#isToldToStop
  }

  // Waits until `atMs`, or less when `settled` has or the unit is told to give up.
  #until (atMs: number, settled?: Promise<unknown>): Promise<void> {
    return new Promise(resolve => {
      const wake = (): void => {
        if (this.#wake !== wake) return
        this.#wake = undefined
        cancel()
        resolve()
      }
      this.#wake = wake
      const cancel = this.#parts.undoing.alarm.at(atMs, wake)
      if (this.#isToldToStop) wake()
      else void settled?.then(wake)
    })
  }

  // The only place that changes state.
  #move (to: State, reason?: string): void {
    const from = this.#state
    if (!isMove(from, to)) throw new Error(`Unit "${this.id}" cannot go from ${from} to ${to}`)
    this.#state = to
    this.since = this.#parts.undoing.clock.now()
    this.reason = reason
    if (to === 'running' || to === 'failed' || to === 'held') this.settledAt = this.since
    this.#parts.onChange({ unit: this.id, from, to, ...(reason !== undefined && { reason }) })
  }
}
