// Reloads, enables and disables plugins in all replicas. The replica that gets the request carries it out and stores it; the other replicas
// follow.

import { backOff } from '../concurrency/back-off.ts'
import { createLoop } from '../concurrency/loop.ts'
import { AnswerableError, Conflict, NotFound, type Clock, type Lifecycle, type Log, type PluginOperation, type PluginStatus } from '../contract/index.ts'
import { describeThrown } from '../contract/thrown.ts'
import type { Kernel } from '../kernel/index.ts'
import type { OperatorDecision, OperatorDecisions, PluginEntry, Roster } from '../plugin-runtime/index.ts'

export interface OperationParts {
  readonly kernel: Kernel
  readonly roster: Roster
  readonly choices: OperatorDecisions
  readonly log: Log
  readonly clock: Clock
  /** The operators' decisions as the host read them for its start. */
  readonly read: readonly OperatorDecision[]
  readonly lifecycle: () => Lifecycle
}

export interface Operation {
  readonly host: PluginOperation
  /** Decisions for all replicas that this replica could not carry out, by plugin, each with the reason. */
  readonly behind: ReadonlyMap<string, Behind>
  /** Carries out the decisions that other replicas received, until the returned function is called. */
  follow (): Promise<() => Promise<void>>
}

/**
 * How long a disable request waits for the plugin to end before it answers with the current state. The end of the follow loop waits as long
 * for its last step.
 */
const patienceMs = 1_000
/** Poll interval. Polling finds a decision whose notification was lost. */
const lookEveryMs = 2_000
/** The pause before a decision that could not be carried out is retried. It doubles, because every attempt loads the code again. */
const retryPause = { firstMs: 10_000, maxMs: 600_000 }

interface Behind {
  readonly why: string
  /** How many reloads had been requested at that time. */
  readonly reloads: number
  readonly tries: number
  readonly nextTryAt: number
}

export const whyDisabled = ({ reason, changedBy }: Pick<OperatorDecision, 'reason' | 'changedBy'>): string => `${changedBy} switched it off${reason === null ? '' : `: ${reason}`}`

export function createOperation ({ kernel, roster, choices, log, clock, read, lifecycle }: OperationParts): Operation {
  const behind = new Map<string, Behind>()
  // A reload that was counted while this replica was starting may have been requested after it had read the files, so it is still to be done.
  const reloadsDone = new Map(read.map(({ plugin, reloads, ageMs }) => [plugin, ageMs < performance.now() ? reloads - 1 : reloads]))
  /** Plugins whose reload runs here and is not stored yet: polling must not reload them once more. */
  const reloading = new Set<string>()

  const statusOf = (member: PluginEntry): PluginStatus => {
    const { id, candidate: { version, manifest }, generation } = member
    const unit = kernel.unit(id)
    return {
      id, version, generation,
      state: unit?.state ?? 'waiting',
      since: new Date(unit?.since ?? clock.now()).toISOString(),
      reason: unit?.reason ?? null,
      retryAt: unit?.retryAt === undefined ? null : new Date(unit.retryAt).toISOString(),
      restarts: unit?.restarts ?? 0,
      readiness: manifest.readiness,
      needs: [...manifest.resources.filter(name => !manifest.tolerates.includes(name)), ...Object.keys(manifest.requires)],
      mounts: manifest.mounts,
      owns: member.owns(),
      leftBehind: member.leftBehind(),
      behind: behind.get(id)?.why ?? null
    }
  }

  const host: PluginOperation = {
    plugins: () => roster.members().map(statusOf),
    plugin: id => statusOf(roster.find(id)),
    async reload (id, by) {
      const choice = await choices.find(id)
      reloading.add(id)
      try {
        const member = await roster.reload(id, choice?.isDisabled === true ? whyDisabled(choice) : undefined).catch(refuse)
        const reloads = await choices.countReload(id, by)
        // Another replica may have received a reload request meanwhile: that reload is still to be done here.
        if (reloads === (reloadsDone.get(id) ?? 0) + 1) reloadsDone.set(id, reloads)
        behind.delete(id)
        return statusOf(member)
      } finally {
        reloading.delete(id)
      }
    },
    async enable (id, by) {
      const member = roster.find(id)
      await choices.enable(id, by)
      await roster.enable(id)
      return statusOf(member)
    },
    async disable (id, by, reason) {
      const member = roster.find(id)
      await choices.disable(id, reason ?? null, by)
      const ended = roster.disable(id, whyDisabled({ reason: reason ?? null, changedBy: by.name }))
        .catch((err: unknown) => log.error({ plugin: id, err }, `plugin "${id}" could not be ended`))
      // The request may come from the plugin itself, whose end waits for this answer.
      await Promise.race([ended, clock.sleep(patienceMs)])
      return statusOf(member)
    },
    lifecycle
  }

  const stateOf = (id: string): string | undefined => roster.members().some(member => member.id === id) ? kernel.unit(id)?.state : undefined

  const isAsAsked = ({ plugin, isDisabled, reloads }: OperatorDecision): boolean => isDisabled
    ? [undefined, 'disabled'].includes(stateOf(plugin))
    : reloads <= (reloadsDone.get(plugin) ?? 0) && stateOf(plugin) !== 'disabled'

  const follow = async (choice: OperatorDecision): Promise<void> => {
    const { plugin, isDisabled, reloads } = choice
    // A disabled plugin ends at once, even when a reload is pending; its code is loaded when it is enabled.
    if (isDisabled) { await roster.disable(plugin, whyDisabled(choice)); return }
    if (reloads > (reloadsDone.get(plugin) ?? 0)) {
      await roster.reload(plugin).catch((error: unknown) => {
        // The plugin was removed, and this replica does not have it any more.
        if (!(error instanceof NotFound)) throw error
      })
      reloadsDone.set(plugin, reloads)
    }
    if (stateOf(plugin) === 'disabled') await roster.enable(plugin)
  }

  const tryToFollow = async (choice: OperatorDecision): Promise<void> => {
    const { plugin, reloads } = choice
    try {
      await follow(choice)
    } catch (err) {
      const why = describeThrown(err)
      const { why: before, tries = 0 } = behind.get(plugin) ?? {}
      if (why !== before) log.error({ plugin, err }, `plugin "${plugin}" is not in the state that was set for all replicas: ${why}. The host retries; /health reports it, too.`)
      behind.set(plugin, { why, reloads, tries: tries + 1, nextTryAt: clock.now() + backOff(tries + 1, retryPause) })
    }
  }

  /** Follows the decisions one by one and reads them again before each, because following the previous one may have taken long. */
  const look = async (): Promise<void> => {
    const tried = new Set<string>()
    for (;;) {
      const all = await choices.read()
      for (const choice of all) {
        if (isAsAsked(choice) && behind.delete(choice.plugin)) log.info({ plugin: choice.plugin }, `plugin "${choice.plugin}" is now in the state that was set for all replicas`)
      }
      const next = all.find(choice => !isAsAsked(choice) && !tried.has(choice.plugin) && !reloading.has(choice.plugin) && isItsTime(choice))
      if (next === undefined) return
      tried.add(next.plugin)
      await tryToFollow(next)
    }
  }

  /** A decision that failed waits for its pause, unless it disables the plugin or requests a further reload. */
  const isItsTime = ({ plugin, isDisabled, reloads }: OperatorDecision): boolean => {
    const last = behind.get(plugin)
    return last === undefined || isDisabled || reloads !== last.reloads || clock.now() >= last.nextTryAt
  }

  return {
    host,
    behind,
    async follow () {
      const loop = createLoop({
        clock,
        pauseMs: lookEveryMs,
        // The database may be unavailable: the readiness probe reports it, and the next poll finds what this one missed.
        step: () => look().catch((err: unknown) => log.debug({ err }, 'the state that was set for all replicas could not be read'))
      })
      const leave = await choices.onNews(loop.wake)
      loop.begin()
      // A plugin that hangs while it is loaded is ended by its own unit, so the end does not wait for it.
      return async () => { await Promise.all([Promise.race([loop.end(), clock.sleep(patienceMs)]), leave()]) }
    }
  }
}

/** Turns an error into a `Conflict` with the same message: an operator may know why an action failed. */
function refuse (error: unknown): never {
  if (error instanceof AnswerableError || !Error.isError(error)) throw error
  throw new Conflict(error.message, { cause: error })
}
