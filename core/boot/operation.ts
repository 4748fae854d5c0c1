// Operating the plugins of all replicas: what is asked of this one is done here, kept, and followed by the others.

import { AnswerableError, Conflict, type Clock, type Host, type Lifecycle, type Log, type PluginStatus } from '../contract/index.ts'
import type { Choice, Choices, Member, Roster } from '../host/index.ts'
import type { Kernel } from '../kernel/index.ts'

export interface OperationParts {
  readonly kernel: Kernel
  readonly roster: Roster
  readonly choices: Choices
  readonly log: Log
  readonly clock: Clock
  /** As they were when the host read them for its start. */
  readonly read: readonly Choice[]
  readonly lifecycle: () => Lifecycle
}

export interface Operation {
  readonly host: Host
  /** Why this replica has not done what was asked of all, by plugin. */
  readonly behind: ReadonlyMap<string, string>
  /** Does what other replicas were asked, until the result is called. */
  follow (): Promise<() => Promise<void>>
}

/** Whoever asks for it sees its end, when that does not take long. */
const patienceMs = 1_000
/** The news may not come: a look this often finds what they would have told. */
const lookEveryMs = 2_000
/** What could not be done is tried again at every so many looks. */
const looksBetweenTries = 5

export const whyDisabled = ({ reason, changedBy }: Pick<Choice, 'reason' | 'changedBy'>): string => `${changedBy} switched it off${reason === null ? '' : `: ${reason}`}`

export function createOperation ({ kernel, roster, choices, log, clock, read, lifecycle }: OperationParts): Operation {
  const behind = new Map<string, string>()
  const reloadsDone = new Map(read.map(({ plugin, reloads }) => [plugin, reloads]))

  const statusOf = (member: Member): PluginStatus => {
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
      behind: behind.get(id) ?? null
    }
  }

  const host: Host = {
    plugins: () => roster.members().map(statusOf),
    plugin: id => statusOf(roster.find(id)),
    async reload (id, { name }) {
      const choice = (await choices.read()).find(({ plugin }) => plugin === id)
      const member = await roster.reload(id, choice?.isDisabled === true ? whyDisabled(choice) : undefined).catch(refuse)
      const reloads = await choices.countReload(id, name)
      // Another replica may have been asked meanwhile: its reload is still to be done.
      if (reloads === (reloadsDone.get(id) ?? 0) + 1) reloadsDone.set(id, reloads)
      behind.delete(id)
      return statusOf(member)
    },
    async enable (id, { name }) {
      const member = roster.find(id)
      await choices.enable(id, name)
      await roster.enable(id)
      behind.delete(id)
      return statusOf(member)
    },
    async disable (id, { name }, reason) {
      const member = roster.find(id)
      await choices.disable(id, reason ?? null, name)
      behind.delete(id)
      const ended = roster.disable(id, whyDisabled({ reason: reason ?? null, changedBy: name }))
        .catch((err: unknown) => log.error({ plugin: id, err }, `plugin "${id}" could not be ended`))
      // It may be the plugin that asks, whose end waits for the answer.
      await Promise.race([ended, clock.sleep(patienceMs)])
      return statusOf(member)
    },
    lifecycle
  }

  const follow = async (choice: Choice): Promise<void> => {
    const { plugin, isDisabled, reloads } = choice
    if (reloads > (reloadsDone.get(plugin) ?? 0)) {
      await roster.reload(plugin, isDisabled ? whyDisabled(choice) : undefined)
      reloadsDone.set(plugin, reloads)
    }
    const state = roster.members().some(({ id }) => id === plugin) ? kernel.unit(plugin)?.state : undefined
    if (state === undefined || isDisabled === (state === 'disabled')) return
    if (isDisabled) await roster.disable(plugin, whyDisabled(choice))
    else await roster.enable(plugin)
  }

  const look = async (isTry: boolean): Promise<void> => {
    for (const choice of await choices.read()) {
      if (behind.has(choice.plugin) && !isTry) continue
      try {
        await follow(choice)
        if (behind.delete(choice.plugin)) log.info({ plugin: choice.plugin }, `plugin "${choice.plugin}" is now as was asked of all replicas`)
      } catch (err) {
        const why = Error.isError(err) ? err.message : String(err)
        if (behind.get(choice.plugin) !== why) {
          log.error({ plugin: choice.plugin, err }, `plugin "${choice.plugin}" is not as was asked of all replicas: ${why}. It is tried again; /health says so, too.`)
        }
        behind.set(choice.plugin, why)
      }
    }
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
        for (let looks = 1; !isOver; looks += 1) {
          await clock.sleep(lookEveryMs, waking.signal).catch(() => { /* There are news, or it is over. */ })
          waking = new AbortController()
          // The database may be away: readiness says so, and the next look finds what this one has missed.
          await look(looks % looksBetweenTries === 0).catch((err: unknown) => log.debug({ err }, 'what was asked of all replicas could not be read'))
        }
      }
      const following = goOn()
      return async () => {
        isOver = true
        wake()
        await Promise.all([following, leave()])
      }
    }
  }
}

/** Whoever may operate the host may know why it could not be done. */
function refuse (error: unknown): never {
  if (error instanceof AnswerableError || !Error.isError(error)) throw error
  throw new Conflict(error.message, { cause: error })
}
