// Runs undo steps: the step that was added last runs first, each within the remaining time.

import type { Clock } from '../contract/clock.ts'
import type { Alarm } from './alarm.ts'
import { BudgetExceeded, asError } from './kernel-error.ts'
import type { UndoStep } from './unit-definition.ts'

export interface StepReport {
  readonly name: string
  /**
   * `cut off`: the step was still running when its time ran out, and the kernel stopped waiting for it. `abandoned`: a
   * start that was told to give up did not end in its grace period, although time was left. Its later actions do not
   * matter.
   */
  readonly outcome: 'done' | 'failed' | 'cut off' | 'abandoned'
  readonly durationMs: number
  readonly error?: Error
}

/** Tracks every undo run in progress of one kernel, and the one time limit that they share. */
export class Undoing {
  readonly clock: Clock
  readonly alarm: Alarm
  readonly #running = new Set<Undo>()
  #limitMs = Infinity

  constructor (clock: Clock, alarm: Alarm) {
    this.clock = clock
    this.alarm = alarm
  }

  get limitMs (): number {
    return this.#limitMs
  }

  limit (atMs: number): void {
    this.#limitMs = Math.min(this.#limitMs, atMs)
    for (const undo of this.#running) undo.hurry()
  }

  began (undo: Undo): void {
    this.#running.add(undo)
  }

  ended (undo: Undo): void {
    this.#running.delete(undo)
  }

  async done (): Promise<void> {
    await Promise.all([...this.#running].map(undo => undo.run()))
  }
}

// Fraction of the remaining time that a hanging step leaves to the steps behind it.
const reserve = 0.1

interface Step {
  readonly name: string
  readonly step: UndoStep
  /** Milliseconds after which the run no longer waits for this step, even if more time is left. */
  readonly patienceMs: number
}

/** The part of a stop's remaining time that one undo run gets. */
export interface Share {
  readonly part: number
  /** The run may use its whole budget nevertheless, as long as the stop is not hurried. */
  readonly isReserved: boolean
}

/** The undo steps of one start attempt. */
export class Undo {
  readonly #undoing: Undoing
  readonly #budgetMs: number
  readonly #report: (step: StepReport) => void
  readonly #steps: Step[] = []
  /** Reports of the steps that have run so far. */
  readonly taken: StepReport[] = []
  #isOpen = true
  #running: Promise<void> | undefined
  #untilMs = Infinity
  /** Fraction of the time until the limit that this run may use when the limit moves nearer; the rest is for later runs. */
  #part = 1
  #hurry: (() => void) | undefined

  constructor (undoing: Undoing, budgetMs: number, report: (step: StepReport) => void) {
    this.#undoing = undoing
    this.#budgetMs = budgetMs
    this.#report = report
  }

  get isDone (): boolean {
    return !this.#isOpen && this.#running === undefined
  }

  /**
   * Adds a step. A step added after the end runs at once, so that nothing stays open. The run waits for it at most
   * `patienceMs`.
   */
  push (name: string, step: UndoStep, patienceMs = Infinity): void {
    this.#steps.push({ name, step, patienceMs })
    if (!this.#isOpen) void this.run()
  }

  /** Runs all steps. Never rejects. Callers join. A `share` leaves the rest of the time until the limit to later runs. */
  run (share?: Share): Promise<void> {
    this.#isOpen = false
    this.#part = share?.part ?? this.#part
    const part = share?.isReserved === true ? 1 : this.#part
    if (this.#running !== undefined) {
      this.#plan(part)
      return this.#running
    }
    // In a stop the run may take its whole share, also beyond its own budget: the share leaves enough to the later runs.
    this.#untilMs = share?.isReserved === false ? Infinity : this.#undoing.clock.now() + this.#budgetMs
    this.#plan(part)
    return this.#runAll()
  }

  /** Called when the limit has moved nearer. */
  hurry (): void {
    this.#plan(this.#part)
  }

  async #runAll (): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<undefined>()
    this.#running = promise
    this.#undoing.began(this)
    for (let next = this.#steps.pop(); next !== undefined; next = this.#steps.pop()) await this.#take(next)
    this.#undoing.ended(this)
    // Cleared in the same turn as the last check of the steps, so that a later step begins a run of its own.
    this.#running = undefined
    resolve(undefined)
  }

  async #take ({ name, step, patienceMs }: Step): Promise<void> {
    const { clock } = this.#undoing
    const startedAt = clock.now()
    const controller = new AbortController()
    const end = (outcome: StepReport['outcome'], error?: Error): void => {
      const report = { name, outcome, durationMs: clock.now() - startedAt, ...(error && { error }) }
      this.taken.push(report)
      this.#report(report)
    }
    try {
      const taken: unknown = step(controller.signal)
      if (isPromise(taken) && !await this.#inTime(taken, startedAt + patienceMs)) {
        const error = new BudgetExceeded(`"${name}"`, clock.now() - startedAt)
        end(clock.now() - startedAt >= patienceMs ? 'abandoned' : 'cut off', error)
        controller.abort(error)
      } else end('done')
    } catch (thrown) {
      end('failed', asError(thrown))
    }
  }

  // Resolves with false when the time ran out first. How the step ends after that does not matter.
  async #inTime (taken: PromiseLike<unknown>, latestMs: number): Promise<boolean> {
    const { alarm } = this.#undoing
    const { promise, resolve, reject } = Promise.withResolvers<boolean>()
    const cutOff = (): (() => void) => alarm.at(Math.min(latestMs, this.#cutOffAt()), () => resolve(false))
    let cancel = cutOff()
    this.#hurry = () => {
      cancel()
      cancel = cutOff()
    }
    try {
      taken.then(() => resolve(true), reject)
      return await promise
    } finally {
      this.#hurry = undefined
      cancel()
    }
  }

  #plan (part: number): void {
    const { clock, limitMs } = this.#undoing
    if (limitMs === Infinity) return
    this.#untilMs = Math.min(this.#untilMs, clock.now() + Math.max(0, limitMs - clock.now()) * part)
    this.#hurry?.()
  }

  #cutOffAt (): number {
    const now = this.#undoing.clock.now()
    const leftMs = Math.max(0, this.#untilMs - now)
    return now + (this.#steps.length === 0 ? leftMs : leftMs * (1 - reserve))
  }
}

const isPromise = (value: unknown): value is PromiseLike<unknown> =>
  typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
