// Reloads, enables and disables plugins in all replicas. The replica that gets the request carries it out and stores it; the
// other replicas follow.

import { AnswerableError, Conflict, type Lifecycle, type PluginOperation, type PluginStatus } from '../contract/index.ts'
import type { PluginEntry } from '../plugin-runtime/index.ts'
import { DecisionFollower, whyDisabled, type Behind, type FollowerParts } from './decision-follower.ts'

export interface OperationParts extends FollowerParts {
  readonly lifecycle: () => Lifecycle
}

export interface Operation {
  readonly host: PluginOperation
  /** Decisions for all replicas that this replica could not carry out, by plugin, each with the reason. */
  readonly behind: ReadonlyMap<string, Behind>
  /** Carries out the decisions that other replicas received, until the returned function is called. */
  follow (): Promise<() => Promise<void>>
}

/** How long a disable request waits for the plugin to end before it answers with the current state. */
const patienceMs = 1_000

export function createOperation (parts: OperationParts): Operation {
  const { kernel, roster, choices, log, clock, lifecycle } = parts
  const follower = new DecisionFollower(parts)

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
      behind: follower.behind.get(id)?.why ?? null
    }
  }

  const host: PluginOperation = {
    plugins: () => roster.members().map(statusOf),
    plugin: id => statusOf(roster.find(id)),
    async reload (id, by) {
      const choice = await choices.find(id)
      const member = await follower.reloadHere(id, async () => {
        const result = await roster.reload(id, choice?.isDisabled === true ? whyDisabled(choice) : undefined).catch(refuse)
        return { result, reloads: await choices.countReload(id, by) }
      })
      return statusOf(member)
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

  return { host, behind: follower.behind, follow: () => follower.begin() }
}

/** Turns an error into a `Conflict` with the same message: an operator may know why an action failed. */
function refuse (error: unknown): never {
  if (error instanceof AnswerableError || !Error.isError(error)) throw error
  throw new Conflict(error.message, { cause: error })
}
