// One unit: its state, its attempts to start, its generations, and how it is taken down.

import { backOff } from '../concurrency/back-off.ts'
import { BudgetExceeded, asError, UnitHeld, NotReplaced, Replaced, describe, type StartStopped } from './kernel-error.ts'
import { StartAttempt } from './start-attempt.ts'
import { isMove, type State } from './state.ts'
import { Undo, type Share, type StepReport, type Undoing } from './undo.ts'
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
  onChange (change: Change): void
  onStep (unit: string, step: StepReport): void
}

export interface Succession {
  /** Returns why the new generation cannot take over. Called before it starts and again when it has started. */
  findObstacle (): string | undefined
  onTaken (): void
}

/** The state of a unit after it was taken down. */
export type Down = 'quarantined' | 'failed' | 'held' | 'disabled'
const downStates: ReadonlySet<State> = new Set<State>(['quarantined', 'failed', 'held', 'disabled', 'stopped'])

export class Unit {
  definition: UnitDefinition
  /** The units of `needs` and `after`: they settle before this one starts, and stop after it. */
  readonly before = new Set<Unit>()
  readonly dependents = new Set<Unit>()
  /** The unit of `before` that settled last, or the one that holds this unit. */
  last: Unit | undefined
  readonly addedAt: number
  startedAt: number | undefined
  settledAt: number | undefined
  since: number
  attempts = 0
  restarts = 0
  /** Failures in a row, without a long run between them. */
  failures = 0
  /** True when it starts as soon as the units it needs run. False when a retry or a replacement has to come first. */
  isDue = true
  retryAt: number | undefined
  cancelRetry: (() => void) | undefined
  /** Pending while the unit and all units that need it are taken down. */
  leaving: Promise<void> | undefined
  /** Why it is in this state, or why the last attempt failed. */
  reason: string | undefined
  error: Error | undefined
  /** The undo steps taken since the stop began; undefined when no stop is in progress. */
  undone: StepReport[] | undefined
  readonly #parts: UnitParts
  #state: State = 'waiting'
  #attempt: StartAttempt | undefined
  /** Other generations that are not undone yet: the next one while it starts, the previous one while it drains. */
  readonly #others = new Set<StartAttempt>()
  /** Identifies the current start. It is replaced by the next start, and undefined once the start is told to give up. */
  #start: object | undefined
  #isReplacing = false
  #isOver = false
  #wake: (() => void) | undefined
  #thrown: Error | undefined
  // The ids from this unit to the unit to blame; `#why` is the reason.
  #path: string
  #why = ''

  constructor (definition: UnitDefinition, parts: UnitParts) {
    this.definition = definition
    this.#parts = parts
    this.#path = definition.id
    this.addedAt = this.since = parts.undoing.clock.now()
  }

  get id (): string {
    return this.definition.id
  }

  get state (): State {
    return this.#state
  }

  /** Units that need this one cannot start. */
  get isDown (): boolean {
    return downStates.has(this.#state)
  }

  /** It runs or is down for now, so units that come after it need not wait. */
  get isSettled (): boolean {
    return this.leaving === undefined && (this.#state === 'running' || this.isDown)
  }

  get isActive (): boolean {
    return this.#state === 'starting' || this.#state === 'running'
  }

  needs (other: Unit): boolean {
    return this.definition.needs.includes(other.id)
  }

  /**
   * Resolves when the unit runs, is down for now, or was told to give up. In the last case the caller that told it
   * undoes what it registered.
   */
  async start (): Promise<void> {
    const { clock } = this.#parts.undoing
    const { startBudgetMs, attemptBudgetMs = startBudgetMs, retry } = this.definition
    const isMine = this.#begin()
    if (this.startedAt !== undefined) this.restarts += 1
    this.attempts = 0
    this.#thrown = undefined
    this.#move('starting')
    // The rest of an earlier start is undone first, on that start's own budget.
    if (this.#attempt?.undo.isDone === false) await this.#until(Infinity, this.#attempt.undo.run())
    this.startedAt = clock.now()
    const deadline = this.startedAt + startBudgetMs
    while (isMine()) {
      this.attempts += 1
      const attempt = this.#attempt = new StartAttempt(this.#createUndo(this.definition))
      const budgetMs = Math.min(attemptBudgetMs, deadline - clock.now())
      void attempt.run(this.definition, this.attempts)
      await this.#until(clock.now() + budgetMs, attempt.settled)
      if (!isMine()) return
      if (attempt.outcome === 'started') serve(attempt)
      if (attempt.outcome === 'started') {
        this.error = undefined
        this.#move('running')
        return
      }
      const error = attempt.error ?? new BudgetExceeded('start', budgetMs)
      // The wait for the undoing ends with the start budget too, so that units which wait for this one are not delayed
      // further.
      await this.#until(deadline, attempt.end(error))
      if (!isMine()) return
      if (error instanceof UnitHeld) {
        this.blame(error)
        this.#move('held', this.#why)
        return
      }
      this.#note(error, attempt.error)
      const pauseMs = retry === undefined ? Infinity : backOff(this.attempts, retry)
      if (clock.now() + pauseMs >= deadline) {
        this.blame(error, this.#inAllAttempts())
        this.#move(this.definition.recover === undefined ? 'failed' : 'quarantined', this.#why)
        return
      }
      await this.#until(clock.now() + pauseMs)
    }
  }

  /**
   * Starts another generation beside the running one. When it has started it takes over and the previous one is undone;
   * the result lists those undo steps. Throws `NotReplaced` when the new generation cannot take over, or when this one
   * ends first; the new one is then undone.
   */
  async replace (definition: UnitDefinition, { findObstacle, onTaken }: Succession): Promise<readonly StepReport[]> {
    const { clock } = this.#parts.undoing
    const obstacle = findObstacle()
    if (obstacle !== undefined) throw new NotReplaced(this.id, obstacle)
    const isMine = this.#begin()
    const last = this.#attempt
    const next = new StartAttempt(this.#createUndo(definition))
    this.#others.add(next)
    void next.run(definition, 1)
    this.#isReplacing = true
    await this.#until(clock.now() + definition.startBudgetMs, next.settled)
    this.#isReplacing = false
    const found = !isMine() ? 'it ended meanwhile' : next.outcome === 'started' ? findObstacle() : undefined
    if (found === undefined) serve(next)
    const error = next.outcome === 'started' ? undefined : next.error ?? new BudgetExceeded('start', definition.startBudgetMs)
    const why = found ?? (error && describe(error))
    if (why !== undefined) {
      const refusal = new NotReplaced(this.id, why, error && { cause: error })
      await next.end(refusal)
      this.#others.delete(next)
      throw refusal
    }
    this.#others.delete(next)
    this.definition = definition
    this.#attempt = next
    this.restarts += 1
    if (last !== undefined) this.#others.add(last)
    onTaken()
    if (last === undefined) return []
    await last.end(new Replaced(this.id))
    this.#others.delete(last)
    return last.undo.taken
  }

  /** Blames the unit itself. */
  blame (error: Error, why = describe(error)): void {
    this.error = error
    this.#path = this.id
    this.#why = why
  }

  /** Blames `need`, or the unit that `need` blames. `why` is given when the obstacle is not the state of `need`. */
  blameNeed (need: Unit, why?: string): void {
    this.last = need
    this.error = why === undefined ? need.error : undefined
    this.#path = `${this.id} → ${why === undefined ? need.#path : need.id}`
    this.#why = why ?? need.#why
  }

  get blamed (): string {
    return this.#path === this.id ? this.#why : `${this.#path} (${this.#why})`
  }

  /** Holds the unit for now. Returns false when it was already held; then only the reason changes. */
  hold (): boolean {
    this.isDue = true
    if (this.#state === 'held') {
      this.reason = this.blamed
      return false
    }
    this.#move('held', this.blamed)
    return true
  }

  /** Called when the unit would start, but a unit that it comes after has not settled. */
  wait (): void {
    if (this.#state !== 'waiting' && this.#state !== 'held') this.#move('waiting')
  }

  /** Tells the next generation to give up, if one is starting. The running one continues. */
  giveUpReplacement (reason: Error): void {
    if (this.#state === 'running' && this.#start !== undefined && this.#isReplacing) this.giveUp(reason)
  }

  /** Aborts a start in progress. The caller must undo what it registered. */
  giveUp (reason: Error): void {
    this.#start = undefined
    if (this.#state === 'starting') this.#attempt?.abort(reason)
    for (const other of this.#others) other.abort(reason)
    this.#wake?.()
  }

  /** Undoes what there is to undo and moves to `to`, unless a stop takes over. */
  async leave (error: Error, to: Down): Promise<void> {
    this.giveUp(error)
    if (this.#mustUndo()) {
      this.#move('stopping', this.blamed)
      await this.#end(error)
    }
    if (!this.#isOver) this.#move(to, this.blamed)
  }

  /** Undoes what there is to undo, in every state, and ends in `stopped`. */
  async stop (error: StartStopped, share: Share): Promise<void> {
    this.#isOver = true
    this.giveUp(error)
    if (this.#mustUndo()) {
      if (this.#state !== 'stopping') this.#move('stopping', error.reason)
      await this.#end(error, share)
    }
    this.#move('stopped', error.reason)
  }

  #mustUndo (): boolean {
    return this.isActive || this.#others.size > 0 || this.#attempt?.undo.isDone === false
  }

  async #end (error: Error, share?: Share): Promise<void> {
    await Promise.all([...this.#others, ...this.#attempt === undefined ? [] : [this.#attempt]].map(attempt => attempt.end(error, share)))
  }

  #createUndo ({ stopBudgetMs }: UnitDefinition): Undo {
    return new Undo(this.#parts.undoing, stopBudgetMs, step => {
      this.undone?.push(step)
      this.#parts.onStep(this.id, step)
    })
  }

  // A used-up budget says little about the cause. An error thrown in answer to the signal, or in an earlier attempt,
  // says more.
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

  // The result is checked after every wait: the unit may have been told to give up meanwhile, and another call then
  // controls it.
  #begin (): () => boolean {
    const start = this.#start = {}
    return () => this.#start === start
  }

  // Waits until `atMs`, or less when `settled` resolves or the unit is told to give up.
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
      if (this.#start === undefined) wake()
      else void settled?.then(wake)
    })
  }

  // This is the only place that changes the state.
  #move (to: State, reason?: string): void {
    const from = this.#state
    if (!isMove(from, to)) throw new Error(`Unit "${this.id}" cannot go from ${from} to ${to}`)
    const now = this.#parts.undoing.clock.now()
    const { recover } = this.definition
    if (from === 'running' && recover !== undefined && now - this.since >= recover.resetAfterMs) this.failures = 0
    this.#state = to
    this.since = now
    this.reason = reason
    this.isDue = to === 'waiting' || (to === 'held' && this.#path !== this.id)
    if (to === 'quarantined' || (to === 'held' && !this.isDue)) this.failures += 1
    if (to === 'running' || this.isDown) this.settledAt = now
    const error = to === 'quarantined' || to === 'failed' ? this.error : undefined
    this.#parts.onChange({ unit: this.id, from, to, ...(reason !== undefined && { reason }), ...(error && { error }) })
  }
}

function serve (attempt: StartAttempt): void {
  if (attempt.outcome !== 'started') return
  try {
    attempt.serve?.()
  } catch (thrown) {
    attempt.outcome = 'failed'
    attempt.error = asError(thrown)
  }
}
