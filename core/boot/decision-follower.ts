// Carries out what operators decided for all replicas and another replica received: reloads, enables and disables plugins
// here, too.

import { backOff } from '../concurrency/back-off.ts'
import { createLoop } from '../concurrency/loop.ts'
import { NotFound, type Clock, type Log } from '../contract/index.ts'
import { describeThrown } from '../contract/thrown.ts'
import type { Kernel } from '../kernel/index.ts'
import type { OperatorDecision, OperatorDecisions, Roster } from '../plugin-runtime/index.ts'

export interface FollowerParts {
  readonly kernel: Kernel
  readonly roster: Roster
  readonly choices: OperatorDecisions
  readonly log: Log
  readonly clock: Clock
  /** The operators' decisions as the host read them for its start. */
  readonly read: readonly OperatorDecision[]
}

/** A decision that this replica could not carry out. */
export interface Behind {
  readonly why: string
  /** How many reloads had been requested at that time. */
  readonly reloads: number
  readonly tries: number
  readonly nextTryAt: number
}

/** How long the end of the loop waits for its last step. */
const patienceMs = 1_000
/** Poll interval. Polling finds a decision whose notification was lost. */
const lookEveryMs = 2_000
/** The pause before a decision that could not be carried out is retried. It doubles, because every attempt loads the code again. */
const retryPause = { firstMs: 10_000, maxMs: 600_000 }

export const whyDisabled = ({ reason, changedBy }: Pick<OperatorDecision, 'reason' | 'changedBy'>): string =>
  `${changedBy} switched it off${reason === null ? '' : `: ${reason}`}`

export class DecisionFollower {
  /** Decisions that this replica could not carry out, by plugin. */
  readonly behind = new Map<string, Behind>()
  readonly #parts: FollowerParts
  /** Reloads that are done here, by plugin. */
  readonly #reloadsDone: Map<string, number>
  /** Plugins whose reload runs here and is not stored yet: polling must not reload them once more. */
  readonly #reloading = new Set<string>()

  constructor (parts: FollowerParts) {
    this.#parts = parts
    // A reload that was counted while this replica was starting may have been requested after it had read the files, so it is still to be done.
    this.#reloadsDone = new Map(parts.read.map(({ plugin, reloads, ageMs }) => [plugin, ageMs < performance.now() ? reloads - 1 : reloads]))
  }

  /** Begins to follow. Resolves with a function that ends it. */
  async begin (): Promise<() => Promise<void>> {
    const { choices, clock, log } = this.#parts
    const loop = createLoop({
      clock,
      pauseMs: lookEveryMs,
      // The database may be unavailable: the readiness probe reports it, and the next poll finds what this one missed.
      step: () => this.#look().catch((err: unknown) => log.debug({ err }, 'the state that was set for all replicas could not be read'))
    })
    const leave = await choices.onNews(loop.wake)
    loop.begin()
    // A plugin that hangs while it is loaded is ended by its own unit, so the end does not wait for it.
    return async () => { await Promise.all([Promise.race([loop.end(), clock.sleep(patienceMs)]), leave()]) }
  }

  /**
   * Runs a reload that this replica was asked for. `work` resolves with its result and with the number of reloads that
   * have been requested since.
   */
  async reloadHere<Result> (plugin: string, work: () => Promise<{ result: Result, reloads: number }>): Promise<Result> {
    this.#reloading.add(plugin)
    try {
      const { result, reloads } = await work()
      // Another replica may have received a reload request meanwhile: that reload is still to be done here.
      if (reloads === this.#reloadsOf(plugin) + 1) this.#reloadsDone.set(plugin, reloads)
      this.behind.delete(plugin)
      return result
    } finally {
      this.#reloading.delete(plugin)
    }
  }

  /** Follows the decisions one by one and reads them again before each, because following the previous one may have taken long. */
  async #look (): Promise<void> {
    const { choices, log } = this.#parts
    const tried = new Set<string>()
    for (;;) {
      const all = await choices.read()
      for (const choice of all) {
        if (this.#isDone(choice) && this.behind.delete(choice.plugin)) {
          log.info({ plugin: choice.plugin }, `plugin "${choice.plugin}" is now in the state that was set for all replicas`)
        }
      }
      const next = all.find(choice =>
        !this.#isDone(choice) && !tried.has(choice.plugin) && !this.#reloading.has(choice.plugin) && this.#isItsTime(choice))
      if (next === undefined) return
      tried.add(next.plugin)
      await this.#try(next)
    }
  }

  #isDone ({ plugin, isDisabled, reloads }: OperatorDecision): boolean {
    const state = this.#stateOf(plugin)
    return isDisabled ? state === undefined || state === 'disabled' : reloads <= this.#reloadsOf(plugin) && state !== 'disabled'
  }

  /** A decision that failed waits for its pause, unless it disables the plugin or requests a further reload. */
  #isItsTime ({ plugin, isDisabled, reloads }: OperatorDecision): boolean {
    const last = this.behind.get(plugin)
    return last === undefined || isDisabled || reloads !== last.reloads || this.#parts.clock.now() >= last.nextTryAt
  }

  async #try (choice: OperatorDecision): Promise<void> {
    const { plugin, reloads } = choice
    const { clock, log } = this.#parts
    try {
      await this.#carryOut(choice)
    } catch (err) {
      const why = describeThrown(err)
      const { why: before, tries = 0 } = this.behind.get(plugin) ?? {}
      if (why !== before) log.error({ plugin, err }, `plugin "${plugin}" is not in the state that was set for all replicas: ${why}. The host retries; /health reports it, too.`)
      this.behind.set(plugin, { why, reloads, tries: tries + 1, nextTryAt: clock.now() + backOff(tries + 1, retryPause) })
    }
  }

  async #carryOut (choice: OperatorDecision): Promise<void> {
    const { plugin, isDisabled, reloads } = choice
    const { roster } = this.#parts
    // A disabled plugin ends at once, even when a reload is pending; its code is loaded when it is enabled.
    if (isDisabled) { await roster.disable(plugin, whyDisabled(choice)); return }
    if (reloads > this.#reloadsOf(plugin)) {
      await roster.reload(plugin).catch((error: unknown) => {
        // The plugin was removed, and this replica does not have it any more.
        if (!(error instanceof NotFound)) throw error
      })
      this.#reloadsDone.set(plugin, reloads)
    }
    if (this.#stateOf(plugin) === 'disabled') await roster.enable(plugin)
  }

  #reloadsOf (plugin: string): number {
    return this.#reloadsDone.get(plugin) ?? 0
  }

  #stateOf (id: string): string | undefined {
    const { kernel, roster } = this.#parts
    return roster.members().some(member => member.id === id) ? kernel.unit(id)?.state : undefined
  }
}
