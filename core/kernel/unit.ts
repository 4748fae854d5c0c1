// One unit: how it starts, how another generation replaces it, and how it is taken down.

import { backOff } from '../concurrency/back-off.ts'
import { BudgetExceeded, asError, UnitHeld, NotReplaced, Replaced, describe, type StartStopped } from './kernel-error.ts'
import { StartAttempt } from './start-attempt.ts'
import { StartTurn } from './start-turn.ts'
import { Undo, type Share, type StepReport } from './undo.ts'
import type { Opened, UnitDefinition } from './unit-definition.ts'
import { UnitRecord } from './unit-record.ts'

export interface Succession {
  /** Returns why the new generation cannot take over. Called before it starts and again when it has started. */
  findObstacle (): string | undefined
  /** Connects the unit by its new definition. */
  onTaken (): void
}

/** The state of a unit after it was taken down. */
export type Down = 'quarantined' | 'failed' | 'held' | 'disabled'

export class Unit extends UnitRecord {
  #attempt: StartAttempt | undefined
  /** Other generations that are not undone yet: the next one while it starts, the previous one while it drains. */
  readonly #others = new Set<StartAttempt>()
  #turn: StartTurn | undefined
  #isReplacing = false
  #isStopped = false
  #undone: StepReport[] | undefined

  /** The result of the start that serves; undefined when the unit does not run. */
  get opened (): Opened<unknown> | undefined {
    return this.state === 'running' ? this.#attempt?.opened : undefined
  }

  /**
   * Starts the unit, because `cause` has settled. Resolves when the unit runs, is down for now, or was told to give up.
   * In the last case the caller that told it undoes what it registered.
   */
  async start (cause: this | undefined): Promise<void> {
    const { startBudgetMs, attemptBudgetMs = startBudgetMs, retry } = this.definition
    const turn = this.#takeTurn()
    this.retry.cancel()
    this.last = cause
    if (this.startedAt !== undefined) this.restarts += 1
    this.attempts = 0
    let thrown: Error | undefined
    this.move('starting')
    // The rest of an earlier start is undone first, on that start's own budget.
    if (this.#attempt?.undo.isDone === false) await turn.until(Infinity, this.#attempt.undo.run())
    this.startedAt = this.now()
    const startedAt = turn.now()
    const deadline = startedAt + startBudgetMs
    while (!turn.isOver()) {
      this.attempts += 1
      const attempt = this.#attempt = new StartAttempt(this.#createUndo(this.definition))
      const budgetMs = Math.min(attemptBudgetMs, deadline - turn.now())
      void attempt.run(this.definition, this.attempts, this.parts.valueOf)
      await turn.until(turn.now() + budgetMs, attempt.settled)
      if (turn.isOver()) return
      if (serve(attempt)) {
        this.error = undefined
        this.move('running')
        return
      }
      const error = attempt.error ?? new BudgetExceeded('start', budgetMs)
      // The wait for the undoing ends with the start budget too, so that units which wait for this one are not delayed
      // further.
      await turn.until(deadline, attempt.end(error))
      if (turn.isOver()) return
      if (error instanceof UnitHeld) {
        this.blame(error)
        this.move('held', this.blamed)
        return
      }
      thrown = informativeError(error, attempt.error) ?? thrown
      if (error instanceof BudgetExceeded && thrown !== undefined) error.cause = thrown
      this.error = error
      this.reason = describe(error)
      const pauseMs = retry === undefined || retry.isPassing?.(error) === false ? Infinity : backOff(this.attempts, retry)
      if (turn.now() + pauseMs >= deadline) {
        const inMs = Math.round(turn.now() - startedAt)
        this.blame(error, this.attempts === 1 ? this.reason : `${this.attempts} attempts in ${inMs} ms, the last one: ${this.reason}`)
        this.move(this.definition.recover === undefined ? 'failed' : 'quarantined', this.blamed)
        return
      }
      await turn.until(turn.now() + pauseMs)
    }
  }

  /**
   * Starts another generation beside the running one. When it has started it takes over and the previous one is undone;
   * the result lists those undo steps. Throws `NotReplaced` when the new generation cannot take over, or when this one
   * ends first; the new one is then undone.
   */
  async replace (definition: UnitDefinition, { findObstacle, onTaken }: Succession): Promise<readonly StepReport[]> {
    const obstacle = findObstacle()
    if (obstacle !== undefined) throw new NotReplaced(this.id, obstacle)
    const turn = this.#takeTurn()
    const last = this.#attempt
    const next = new StartAttempt(this.#createUndo(definition))
    this.#others.add(next)
    void next.run(definition, 1, this.parts.valueOf)
    this.#isReplacing = true
    await turn.until(turn.now() + definition.startBudgetMs, next.settled)
    this.#isReplacing = false
    const found = turn.isOver() ? 'it ended meanwhile' : next.outcome === 'started' ? findObstacle() : undefined
    if (found !== undefined || !serve(next)) {
      const error = next.outcome === 'started' ? undefined : next.error ?? new BudgetExceeded('start', definition.startBudgetMs)
      const refusal = new NotReplaced(this.id, found ?? (error === undefined ? '' : describe(error)), error && { cause: error })
      await next.end(refusal)
      this.#others.delete(next)
      throw refusal
    }
    this.#others.delete(next)
    this.#attempt = next
    this.restarts += 1
    if (last !== undefined) this.#others.add(last)
    onTaken()
    if (last === undefined) return []
    await last.end(new Replaced(this.id))
    this.#others.delete(last)
    return last.undo.taken
  }

  /** Tells the next generation to give up, if one is starting. The running one continues. */
  giveUpReplacement (reason: Error): void {
    if (this.state === 'running' && this.#turn?.isOver() === false && this.#isReplacing) this.giveUp(reason)
  }

  /** Aborts a start in progress. The caller must undo what it registered. */
  giveUp (reason: Error): void {
    if (this.state === 'starting') this.#attempt?.abort(reason)
    for (const other of this.#others) other.abort(reason)
    this.#turn?.giveUp()
  }

  /** Undoes what there is to undo and moves to `to`, unless a stop takes over. */
  async leave (error: Error, to: Down): Promise<void> {
    this.giveUp(error)
    if (this.#mustUndo()) {
      this.move('stopping', this.blamed)
      await this.#end(error)
    }
    if (!this.#isStopped) this.move(to, this.blamed)
  }

  /** Returns the list to which each undo step is added from now on. */
  collectUndone (): readonly StepReport[] {
    return this.#undone = []
  }

  /** Undoes what there is to undo, in every state, and ends in `stopped`. */
  async stop (error: StartStopped, share: Share): Promise<void> {
    this.#isStopped = true
    this.giveUp(error)
    if (this.#mustUndo()) {
      if (this.state !== 'stopping') this.move('stopping', error.reason)
      await this.#end(error, share)
    }
    this.move('stopped', error.reason)
  }

  #takeTurn (): StartTurn {
    return this.#turn = new StartTurn(this.parts.budget)
  }

  #mustUndo (): boolean {
    return this.isActive || this.#others.size > 0 || this.#attempt?.undo.isDone === false
  }

  async #end (error: Error, share?: Share): Promise<void> {
    const attempts = [...this.#others, ...this.#attempt === undefined ? [] : [this.#attempt]]
    await Promise.all(attempts.map(attempt => attempt.end(error, share)))
  }

  #createUndo ({ stopBudgetMs }: UnitDefinition): Undo {
    return new Undo(this.parts.undoing, stopBudgetMs, step => {
      this.#undone?.push(step)
      this.parts.onStep(this.id, step)
    })
  }
}

// A used-up budget says little about the cause. An error thrown in answer to the signal, or in an earlier attempt, says
// more.
const informativeError = (error: Error, thrown: Error | undefined): Error | undefined =>
  thrown?.name === 'AbortError' || (error instanceof BudgetExceeded && thrown === error) ? undefined : thrown

/** Makes a started attempt serve. Returns false when it has not started, or when this fails. */
function serve (attempt: StartAttempt): boolean {
  if (attempt.outcome !== 'started') return false
  try {
    attempt.opened?.serve?.()
    return true
  } catch (thrown) {
    attempt.outcome = 'failed'
    attempt.error = asError(thrown)
    return false
  }
}
