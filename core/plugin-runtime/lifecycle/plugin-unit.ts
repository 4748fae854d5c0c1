// Describes a plugin as a unit of the kernel: what it needs, which versions it refuses, and how its generation starts.

import { isDeepStrictEqual } from 'node:util'
import type { Log } from '../../contract/index.ts'
import { findGiven, type Opened, type Recovery, type StartContext, type UnitDefinition } from '../../kernel/index.ts'
import type { Candidate } from '../discovery/discover.ts'
import { createMayPublish } from '../discovery/event-owner.ts'
import { isWithin } from '../discovery/version.ts'
import { findCandidate, FolderChanged, loadGeneration, migrateAsRead, type GenerationParts } from '../loading/generation.ts'
import { hasChanged, type LoadedPlugin } from '../loading/plugin-definition.ts'
import type { Owner } from '../ownership/owner.ts'
import { createOwner, type PluginEntry } from './plugin-entry.ts'
import type { PluginRegistry } from './plugin-registry.ts'
import { needsOf, startPlugin, type PluginParts, type PluginRooms } from './start-plugin.ts'

export interface UnitSettings {
  readonly startBudgetMs: number
  readonly stopBudgetMs: number
  readonly recover: Recovery
  /** Retries the start of a plugin that is `required`, within its budget. */
  readonly retryRequired?: UnitDefinition['retry']
  /** Every plugin needs this unit of the host, which opens what other modules of the host do for plugins. */
  readonly rooms: UnitDefinition<PluginRooms>
  configOf (plugin: LoadedPlugin): Readonly<Record<string, unknown>>
  logOf (id: string, generation: number): Log
}

export interface PluginUnitParts extends UnitSettings, GenerationParts {
  readonly members: PluginRegistry
  noteFault (owner: Owner, thrown: unknown): void
  /** Begins a reload of the plugin, whose outcome its state tells. */
  reload (id: string): void
  /** Called when a start of the plugin has ended and everything is undone. */
  onEnd (member: PluginEntry): void
}

export interface PluginUnits {
  /**
   * Records that the plugin's permissions are in the database before it starts, as for every plugin found when the host
   * started.
   */
  noteDeclared (plugin: LoadedPlugin): void
  /**
   * Creates the unit for the generation that was found, or for the first generation whose code can be imported. The
   * unit is added as disabled when `disabled` gives a reason.
   */
  first (member: PluginEntry, disabled?: string): UnitDefinition
  /** Creates the unit for the next generation. */
  next (member: PluginEntry, plugin: LoadedPlugin): UnitDefinition
}

export function createPluginUnits (parts: PluginUnitParts): PluginUnits {
  const { members } = parts
  const services: PluginParts['services'] = new Map()
  const declared = new WeakSet<LoadedPlugin>()
  /** The undeclared events that the log has warned about, by plugin id. */
  const warned = new Map<string, Set<string>>()
  const warnedOf = (id: string): Set<string> => {
    const events = warned.get(id) ?? new Set()
    warned.set(id, events)
    return events
  }

  const start = async (member: PluginEntry, plugin: LoadedPlugin, context: StartContext): Promise<Opened<never>> => {
    const owner = createOwner(plugin)
    // This step is pushed first, so it runs last.
    context.undo('account', () => {
      member.end(owner)
      parts.onEnd(member)
    })
    const { noteFault } = parts
    const log = parts.logOf(member.id, owner.generation)
    const { rooms } = findGiven({ rooms: parts.rooms }, context)
    const { serve, check } = await startPlugin({
      plugin, owner, config: parts.configOf(plugin), log, permissions: members.permissionsFor(plugin),
      mayPublish: createMayPublish({
        plugin: plugin.candidate, log, warned: warnedOf(member.id), ownerOf: event => members.ownerOfEvent(event)
      })
    }, { ...rooms, services, noteFault }, context)
    // Declared only after the start: a generation that never serves must not change any user's permissions.
    if (!declared.has(plugin)) await parts.declare([...members.othersThan(member.id), plugin])
    declared.add(plugin)
    return { serve: () => { serve(); member.serve(owner) }, check }
  }

  /**
   * A plugin that could not be loaded is read and loaded again by each start; only the first start reports the failure
   * that is known already. Code and migrations always come from one reading of the folder.
   */
  const load = async (member: PluginEntry): Promise<LoadedPlugin> => {
    const { failure, plugin } = member
    member.failure = undefined
    if (failure !== undefined) throw failure
    if (plugin !== undefined && (member.isMigrated || !hasChanged(plugin))) {
      if (!member.isMigrated) await migrateAsRead(plugin, parts)
      member.isMigrated = true
      return plugin
    }
    const candidate = await findCandidate(member.id, parts, members.here().map(other => other.candidate))
    if (candidate === undefined || !isDeepStrictEqual(candidate.manifest, member.candidate.manifest)) {
      // Other needs and mounts are another unit, which only a reload can make.
      parts.reload(member.id)
      throw new FolderChanged(member.candidate, 'in its manifest')
    }
    const loaded = await loadGeneration(candidate, members.takeNumber(member.id), parts, members.othersThan(member.id))
    Object.assign(member, { candidate, plugin: loaded, isMigrated: true })
    members.changed()
    return loaded
  }

  const unitOf = (candidate: Candidate, startWith: (context: StartContext) => Promise<Opened<never>>): UnitDefinition => {
    const { id, manifest: { tolerates, requires, optional, readiness } } = candidate
    const isUsable = ([other, range]: [string, string]): boolean => isWithin(members.versionOf(other) ?? '', range)
    return {
      id,
      kind: 'plugin',
      needs: [parts.rooms.id, ...needsOf(candidate)],
      after: [...tolerates, ...Object.entries(optional).filter(isUsable).map(([other]) => other)],
      required: readiness === 'required',
      startBudgetMs: parts.startBudgetMs,
      stopBudgetMs: parts.stopBudgetMs,
      recover: parts.recover,
      ...readiness === 'required' && parts.retryRequired && { retry: parts.retryRequired },
      refuses: need => {
        const range = requires[need]
        const version = members.versionOf(need)
        if (range === undefined || (version !== undefined && isWithin(version, range))) return undefined
        return `it requires "${need}" ${range}, and ${version === undefined ? 'no such plugin' : version} is here`
      },
      start: startWith
    }
  }

  return {
    noteDeclared: plugin => { declared.add(plugin) },
    first: (member, disabled) =>
      ({ ...unitOf(member.candidate, async context => start(member, await load(member), context)), ...disabled !== undefined && { disabled } }),
    next: (member, plugin) => unitOf(plugin.candidate, context => start(member, plugin, context))
  }
}
