// The plugins that are here, and what becomes of them while the host serves: replaced, installed, taken away, switched off and on.

import { Conflict, type Log, type Manifest } from '../../contract/index.ts'
import { NotReplaced, type Kernel, type UnitDefinition } from '../../kernel/index.ts'
import type { Candidate } from '../discovery/discover.ts'
import { findCandidate, loadGeneration, type GenerationParts } from '../loading/generation.ts'
import type { PluginImportFailed } from '../loading/import-failure.ts'
import type { LoadedPlugin } from '../loading/plugin-definition.ts'
import { FaultCounter, TooManyFaults, type FaultLimit } from '../ownership/fault-counter.ts'
import { runAs, type Owner } from '../ownership/owner.ts'
import { PluginEntry } from './plugin-entry.ts'
import { PluginRegistry } from './plugin-registry.ts'
import { createPluginUnits, type PluginUnitParts, type UnitSettings } from './plugin-unit.ts'

export interface RosterParts extends UnitSettings, GenerationParts, Pick<PluginUnitParts, 'rooms'> {
  readonly kernel: Kernel
  readonly log: Log
  readonly faultLimit: FaultLimit
}

export interface Found {
  readonly plugins: readonly LoadedPlugin[]
  /** Degraded plugins whose code could not be imported: they are tried again. */
  readonly failures: readonly { readonly candidate: Candidate, readonly error: PluginImportFailed }[]
  /** Ids of plugins whose schema could not be brought up to date: their start tries it again. */
  readonly unmigrated: ReadonlySet<string>
  /** Plugins that the settings leave out, where their manifests could be read. */
  readonly leftOut: readonly { readonly id: string, readonly manifest: Manifest }[]
}

export interface Roster {
  /** The units of what was found at the start; `disabled` says why one is switched off, by id. */
  units (found: Found, disabled: ReadonlyMap<string, string>): UnitDefinition[]
  /** Those that are here, in the order of their ids. */
  members (): readonly PluginEntry[]
  /** `NotFound` when no plugin has this id. */
  find (id: string): PluginEntry
  /**
   * Makes the plugin what its folder says now. Resolves at the switch; throws what kept the new generation from taking over. A plugin that is
   * new, or back, is switched off when `disabled` says why.
   */
  reload (id: string, disabled?: string): Promise<PluginEntry>
  enable (id: string): Promise<void>
  /** Resolves when it has ended. */
  disable (id: string, reason: string): Promise<void>
  /** What code of a plugin threw where nobody waited for it: too many, and the plugin is quarantined. */
  noteFault (owner: Owner, thrown: unknown): void
  /** Whose code threw it, by its stack, where the context of the throw does not tell. */
  ownerOf (thrown: unknown): Owner | undefined
}

/** What is closed only now and then, a connection that is kept alive say, has gone by then. */
const leftAfterMs = 10_000

export function createRoster (parts: RosterParts): Roster {
  const { kernel, clock, log } = parts
  const members = new PluginRegistry(parts.corePermissions)
  const counters = new Map<string, FaultCounter>()
  const turns = new Map<string, Promise<void>>()
  const loads = new Map<string, AbortController>()

  /** One change of a plugin after another. */
  const inTurn = <T>(id: string, work: () => Promise<T>): Promise<T> => {
    const turn = (turns.get(id) ?? Promise.resolve()).then(work)
    turns.set(id, turn.then(() => undefined, () => { /* Whoever asked for it has heard. */ }))
    return turn
  }

  const reload = async (id: string, disabled: string | undefined): Promise<PluginEntry> => {
    const member = members.get(id)
    const candidate = await findCandidate(id, parts, members.here().map(other => other.candidate))
    if (candidate === undefined) return remove(members.find(id))
    const plugin = await unlessSwitchedOff(id, loadGeneration(candidate, members.takeNumber(id), parts, members.othersThan(id)))
    return member === undefined ? install(candidate, plugin, disabled) : replace(member, plugin, disabled)
  }

  /** Whoever switches the plugin off does not wait for what would replace it. */
  const unlessSwitchedOff = async <T>(id: string, work: Promise<T>): Promise<T> => {
    const { promise, reject } = Promise.withResolvers<never>()
    const load = new AbortController()
    load.signal.addEventListener('abort', () => reject(new Conflict(`The plugin "${id}" was switched off meanwhile.`)))
    loads.set(id, load)
    try {
      return await Promise.race([work, promise])
    } finally {
      loads.delete(id)
    }
  }

  const install = async (candidate: Candidate, plugin: LoadedPlugin, disabled: string | undefined): Promise<PluginEntry> => {
    const member = new PluginEntry(candidate, plugin)
    const unit = units.first(member, disabled)
    members.add(member)
    // A host that serves does not end because of what is new.
    await kernel.start([{ ...unit, required: false }])
    log.info({ plugin: member.id, version: candidate.version }, `plugin "${member.id}" was installed`)
    return member
  }

  const remove = async (member: PluginEntry): Promise<PluginEntry> => {
    member.isHere = false
    const why = `its folder ${member.candidate.folder} has gone`
    await kernel.disable(member.id, why)
    // What it needed stands in nobody's way any more.
    await kernel.replace({ ...units.first(member), needs: [], after: [] })
    members.changed()
    parts.rooms().release(member.id)
    log.info({ plugin: member.id }, `plugin "${member.id}" was removed: its folder has gone`)
    return member
  }

  const replace = async (member: PluginEntry, plugin: LoadedPlugin, disabled: string | undefined): Promise<PluginEntry> => {
    const { candidate } = plugin
    const last = member.plugin
    const wasRunning = kernel.unit(member.id)?.state === 'running'
    const wasHere = member.isHere
    const switched = Promise.withResolvers<undefined>()
    const unit = units.next(member, plugin)
    const adopt = (): void => {
      if (last !== undefined) member.retire(last)
      Object.assign(member, { candidate, plugin, failure: undefined, isMigrated: true, isHere: true })
      members.changed()
      log.info({ plugin: member.id, version: candidate.version, generation: plugin.owner.generation, before: last?.owner.generation }, `plugin "${member.id}" is now generation ${plugin.owner.generation}`)
      if (wasRunning) switched.resolve(undefined)
    }
    // What comes after the switch is the end of the last generation, for which nobody waits. One that did not run has been adopted, whether it
    // runs now or not: its state says so.
    kernel.replace(unit, adopt).then(() => switched.resolve(undefined), (error: unknown) => {
      if (!wasRunning && error instanceof NotReplaced && member.plugin === plugin) switched.resolve(undefined)
      else switched.reject(error)
    })
    await switched.promise
    if (!wasHere && disabled === undefined) await kernel.enable(member.id)
    return member
  }

  const noteFault = (owner: Owner, thrown: unknown): void => runAs(undefined, () => {
    const member = members.get(owner.plugin)
    const facts = { plugin: owner.plugin, generation: owner.generation, err: thrown }
    if (member?.isServing(owner) !== true) {
      log.error(facts, `an error of plugin "${owner.plugin}" that nobody caught, of a generation that does not serve`)
      return
    }
    log.error(facts, `an error of plugin "${owner.plugin}" that nobody caught`)
    const counter = counters.get(owner.plugin) ?? new FaultCounter(parts.faultLimit)
    counters.set(owner.plugin, counter)
    if (counter.count(clock.now())) kernel.fail(owner.plugin, new TooManyFaults(parts.faultLimit, thrown))
  })

  const tellWhatIsLeft = async (member: PluginEntry): Promise<void> => {
    if (member.leftBehind().length === 0) return
    await clock.sleep(leftAfterMs)
    const left = member.leftBehind()
    if (left.length > 0) log.warn({ plugin: member.id, left }, `plugin "${member.id}" has ended and left behind: ${left.join(', ')}. Make them with the scope (timers, listen), or undo them with "undo".`)
  }

  const units = createPluginUnits({ ...parts, members, noteFault, onEnd: member => { void tellWhatIsLeft(member) } })

  return {
    units ({ plugins, failures, unmigrated, leftOut }, disabled) {
      members.leaveOut(leftOut)
      for (const plugin of plugins) {
        const member = new PluginEntry(plugin.candidate, plugin)
        member.isMigrated = !unmigrated.has(member.id)
        units.noteDeclared(plugin)
        members.add(member)
      }
      for (const { candidate, error } of failures) members.add(new PluginEntry(candidate, error))
      return members.here().map(member => units.first(member, disabled.get(member.id)))
    },
    members: () => members.here().sort((a, b) => a.id < b.id ? -1 : 1),
    find: id => members.find(id),
    reload: (id, disabled) => inTurn(id, () => reload(id, disabled)),
    enable: id => inTurn(id, () => kernel.enable(id)),
    disable: (id, reason) => {
      loads.get(id)?.abort()
      // The kernel gives up a replacement that is under way, so this does not wait for it.
      return kernel.disable(id, reason)
    },
    noteFault,
    ownerOf: thrown => members.ownerOf(thrown)
  }
}
