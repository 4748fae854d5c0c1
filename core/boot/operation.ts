// Operating the plugins of all replicas: what is asked of this one is done here, kept, and followed by the others.

import { AnswerableError, Conflict, NotFound, type Clock, type Lifecycle, type Log, type PluginOperation, type PluginStatus } from '../contract/index.ts'
import { asError, describe, type Kernel } from '../kernel/index.ts'
import type { OperatorDecision, OperatorDecisions, PluginEntry, Roster } from '../plugin-runtime/index.ts'

export interface OperationParts {
  readonly kernel: Kernel
  readonly roster: Roster
  readonly choices: OperatorDecisions
  readonly log: Log
  readonly clock: Clock
  /** As they were when the host read them for its start. */
  readonly read: readonly OperatorDecision[]
  readonly lifecycle: () => Lifecycle
}

export interface Operation {
  readonly host: PluginOperation
  /** Why this replica has not done what was asked of all, by plugin. */
  readonly behind: ReadonlyMap<string, Behind>
  /** Does what other replicas were asked, until the result is called. */
  follow (): Promise<() => Promise<void>>
}

/** Whoever asks for it sees its end, when that does not take long. */
const patienceMs = 1_000
/** The news may not come: a look this often finds what they would have told. */
const lookEveryMs = 2_000
/** What could not be done is tried again after the first, then twice as long each time: every try loads the code anew. */
const firstPauseMs = 10_000
const longestPauseMs = 600_000

interface Behind {
  readonly why: string
  /** How many had been asked for. */
  readonly reloads: number
  readonly tries: number
  readonly nextTryAt: number
}

export const whyDisabled = ({ reason, changedBy }: Pick<OperatorDecision, 'reason' | 'changedBy'>): string => `${changedBy} switched it off${reason === null ? '' : `: ${reason}`}`

export function createOperation ({ kernel, roster, choices, log, clock, read, lifecycle }: OperationParts): Operation {
  const behind = new Map<string, Behind>()
  // A reload that was counted while this replica was starting may have come after it had read the files.
  const reloadsDone = new Map(read.map(({ plugin, reloads, ageMs }) => [plugin, ageMs < performance.now() ? reloads - 1 : reloads]))
  /** Being done here and not yet written: a look must not do it once more. */
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
        // Another replica may have been asked meanwhile: its reload is still to be done.
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
      // It may be the plugin that asks, whose end waits for the answer.
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
    // Whoever is switched off is so at once, whatever else is to be done; its code is loaded when it is switched on.
    if (isDisabled) { await roster.disable(plugin, whyDisabled(choice)); return }
    if (reloads > (reloadsDone.get(plugin) ?? 0)) {
      await roster.reload(plugin).catch((error: unknown) => {
        // It was removed, and there is none here any more.
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
      const why = describe(asError(err))
      const { why: before, tries = 0 } = behind.get(plugin) ?? {}
      if (why !== before) log.error({ plugin, err }, `plugin "${plugin}" is not as was asked of all replicas: ${why}. It is tried again; /health says so, too.`)
      behind.set(plugin, { why, reloads, tries: tries + 1, nextTryAt: clock.now() + Math.min(firstPauseMs * 2 ** tries, longestPauseMs) })
    }
  }

  /** One after the other, each by what is written when its turn comes: following the one before may have taken its time. */
  const look = async (): Promise<void> => {
    const tried = new Set<string>()
    for (;;) {
      const all = await choices.read()
      for (const choice of all) {
        if (isAsAsked(choice) && behind.delete(choice.plugin)) log.info({ plugin: choice.plugin }, `plugin "${choice.plugin}" is now as was asked of all replicas`)
      }
      const next = all.find(choice => !isAsAsked(choice) && !tried.has(choice.plugin) && !reloading.has(choice.plugin) && isItsTime(choice))
      if (next === undefined) return
      tried.add(next.plugin)
      await tryToFollow(next)
    }
  }

  /** What could not be done pauses, unless it is something else that is asked now. */
  const isItsTime = ({ plugin, isDisabled, reloads }: OperatorDecision): boolean => {
    const last = behind.get(plugin)
    return last === undefined || isDisabled || reloads !== last.reloads || clock.now() >= last.nextTryAt
  }

  return {
    host,
    behind,
    async follow () {
      let isOver = false
      let waking = new AbortController()
      const wake = (): void => waking.abort()
      const leave = await choices.onNews(wake)
      const goOn = async (): Promise<void> => {
        while (!isOver) {
          await clock.sleep(lookEveryMs, waking.signal).catch(() => { /* There are news, or it is over. */ })
          waking = new AbortController()
          // The database may be away: readiness says so, and the next look finds what this one has missed.
          await look().catch((err: unknown) => log.debug({ err }, 'what was asked of all replicas could not be read'))
        }
      }
      const following = goOn()
      return async () => {
        isOver = true
        wake()
        // A plugin that hangs while it is loaded is the plugins' to end, not this loop's.
        await Promise.all([Promise.race([following, clock.sleep(patienceMs)]), leave()])
      }
    }
  }
}

/** Whoever may operate the host may know why it could not be done. */
function refuse (error: unknown): never {
  if (error instanceof AnswerableError || !Error.isError(error)) throw error
  throw new Conflict(error.message, { cause: error })
}
