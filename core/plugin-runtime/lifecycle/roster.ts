// The plugins that are present, and their changes while the host serves: reload, install, remove, disable and enable.

import { untilAborted } from '../../concurrency/until-aborted.ts'
import { Conflict, type Clock, type Log, type Manifest } from '../../contract/index.ts'
import { NotReplaced, type Kernel, type UnitDefinition } from '../../kernel/index.ts'
import { createAbsent, type Candidate } from '../discovery/discover.ts'
import { InvalidPlugins } from '../discovery/plugin-problem.ts'
import { findCandidate, loadGeneration, type GenerationParts } from '../loading/generation.ts'
import { PluginImportFailed } from '../loading/import-failure.ts'
import type { LoadedPlugin, LoadFailure } from '../loading/plugin-definition.ts'
import { FaultCounter, TooManyFaults, type FaultLimit } from '../ownership/fault-counter.ts'
import { runAs, type Owner } from '../ownership/owner.ts'
import { PluginEntry } from './plugin-entry.ts'
import { PluginRegistry } from './plugin-registry.ts'
import { createPluginUnits, type UnitSettings } from './plugin-unit.ts'

export interface RosterParts extends UnitSettings, GenerationParts {
  readonly kernel: Kernel
  readonly clock: Clock
  /** Frees the paths of a plugin that was removed. */
  release (id: string): void
  readonly log: Log
  readonly faultLimit: FaultLimit
}

export interface Found {
  readonly plugins: readonly LoadedPlugin[]
  /** Degraded plugins that could not be loaded; the kernel retries them. */
  readonly failures: readonly LoadFailure[]
  /** Ids of plugins whose schema could not be brought up to date; their start retries it. */
  readonly unmigrated: ReadonlySet<string>
  /** Plugins that the settings leave out and whose manifests could be read. */
  readonly leftOut: readonly { readonly id: string, readonly manifest: Manifest }[]
}

export interface Roster {
  /** Returns the units of the plugins found at the start. `disabled` gives the reason for each disabled plugin, by id. */
  units (found: Found, disabled: ReadonlyMap<string, string>): UnitDefinition[]
  /** Returns the present plugins, sorted by id. */
  members (): readonly PluginEntry[]
  /** Throws `NotFound` when no present plugin has this id. */
  find (id: string): PluginEntry
  /**
   * Brings the plugin to what its folder contains now. Resolves at the switch. Throws the error that kept the new
   * generation from taking over. A plugin that is new, or back, is disabled when `disabled` gives a reason.
   */
  reload (id: string, disabled?: string): Promise<PluginEntry>
  enable (id: string): Promise<void>
  /** Resolves when the plugin has ended. */
  disable (id: string, reason: string): Promise<void>
  /**
   * Logs an error that a plugin's code threw and no caller caught, and counts it if that generation serves. After too
   * many, the plugin is quarantined.
   */
  noteFault (owner: Owner, thrown: unknown): void
  /** Returns the owner of the code that threw, found by its stack, for when the context of the throw does not tell. */
  ownerOf (thrown: unknown): Owner | undefined
}

/**
 * Milliseconds before leftovers are logged. By then resources that close only from time to time, such as kept-alive
 * connections, are gone.
 */
const leftAfterMs = 10_000

const isLoadFailure = (error: unknown): error is LoadFailure['error'] => error instanceof PluginImportFailed || error instanceof InvalidPlugins

export function createRoster (parts: RosterParts): Roster {
  const { kernel, clock, log } = parts
  const members = new PluginRegistry(parts.corePermissions)
  const counters = new Map<string, FaultCounter>()
  const turns = new Map<string, Promise<void>>()
  const loads = new Map<string, AbortController>()

  /** Runs the changes of one plugin one after another. */
  const inTurn = <T>(id: string, work: () => Promise<T>): Promise<T> => {
    const turn = (turns.get(id) ?? Promise.resolve()).then(work)
    turns.set(id, turn.then(() => undefined, () => { /* The caller of this turn has received the error. */ }))
    return turn
  }

  const reload = async (id: string, disabled: string | undefined): Promise<PluginEntry> => {
    const member = members.get(id)
    const candidate = await findCandidate(id, parts, members.here().map(other => other.candidate), kernel.unit(id)?.state === 'running')
    if (candidate === undefined) {
      const removed = await remove(members.find(id))
      if (removed.candidate.problems !== undefined) await installFrom(removed.candidate.folder)
      return removed
    }
    const plugin = await unlessSwitchedOff(id, loadGeneration(candidate, members.takeNumber(id), parts, members.othersThan(id)))
      .catch(async (error: unknown) => {
        // The generation that runs continues. Otherwise the plugin is in the state in which a start of the host finds it.
        if (isLoadFailure(error) && kernel.unit(id)?.state !== 'running') await quarantine(candidate, error, disabled)
        throw error
      })
    await addAbsent(candidate)
    return member === undefined ? install(candidate, plugin, disabled) : replace(member, plugin, disabled)
  }

  /**
   * Rejects with `Conflict` when the plugin is disabled meanwhile, so that a disable does not wait for the load of a
   * replacement.
   */
  const unlessSwitchedOff = async <T>(id: string, work: Promise<T>): Promise<T> => {
    const load = new AbortController()
    loads.set(id, load)
    try {
      return await untilAborted(load.signal, work)
    } finally {
      loads.delete(id)
    }
  }

  const install = async (candidate: Candidate, plugin: LoadedPlugin, disabled: string | undefined): Promise<PluginEntry> => {
    const member = new PluginEntry(candidate, plugin)
    const unit = units.first(member, disabled)
    members.add(member)
    // A host that serves must not end because a new plugin does not come up.
    await kernel.start([{ ...unit, required: false }])
    log.info({ plugin: member.id, version: candidate.version }, `plugin "${member.id}" was installed`)
    return member
  }

  /** Adds the plugin, or leaves it, as one that could not be loaded: it is quarantined and retried. */
  const quarantine = async (candidate: Candidate, error: LoadFailure['error'], disabled: string | undefined): Promise<void> => {
    const member = members.get(candidate.id)
    if (member === undefined) {
      const added = new PluginEntry(candidate, error)
      members.add(added)
      await kernel.start([{ ...units.first(added, disabled), required: false }])
      return
    }
    if (member.plugin !== undefined) member.retire(member.plugin)
    const wasHere = member.isHere
    Object.assign(member, { candidate, plugin: undefined, failure: error, isHere: true })
    members.changed()
    await kernel.replace(units.first(member)).catch((refusal: unknown) => { if (!(refusal instanceof NotReplaced)) throw refusal })
    if (!wasHere && disabled === undefined) await kernel.enable(member.id)
  }

  /** Installs the plugin whose folder was broken, when its id turns out to be another than the folder's name. */
  const installFrom = async (folder: string): Promise<void> => {
    const next = (await parts.discover()).candidates.find(candidate => candidate.folder === folder)
    if (next !== undefined) await inTurn(next.id, () => reload(next.id, undefined))
  }

  /** Creates a disabled unit for each plugin that is required and was never here, which holds the plugins that require it. */
  const absentUnits = (candidates: readonly Candidate[]): UnitDefinition[] => {
    const required = candidates.flatMap(({ manifest: { requires } }) => Object.keys(requires))
    const absent = new Set(required.filter(id => kernel.unit(id) === undefined && members.get(id) === undefined))
    return [...absent].map(id => {
      const member = new PluginEntry(createAbsent(id), undefined)
      member.isHere = false
      members.add(member)
      return { ...units.first(member, `no plugin "${id}" is here: add it, or let it load`), needs: [], after: [], required: false }
    })
  }

  const addAbsent = async (candidate: Candidate): Promise<void> => {
    const added = absentUnits([candidate])
    if (added.length > 0) await kernel.start(added)
  }

  const remove = async (member: PluginEntry): Promise<PluginEntry> => {
    member.isHere = false
    const why = `its folder ${member.candidate.folder} has gone`
    await kernel.disable(member.id, why)
    // Drops its dependencies, so that a removed plugin no longer holds up their stop.
    await kernel.replace({ ...units.first(member), needs: [], after: [] })
    members.changed()
    parts.release(member.id)
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
    // After the switch only the previous generation ends, and no caller waits for that. A plugin that did not run has
    // been adopted whether it runs now or not; its state tells which.
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
      log.error(facts, `an uncaught error of plugin "${owner.plugin}", of a generation that does not serve`)
      return
    }
    log.error(facts, `an uncaught error of plugin "${owner.plugin}"`)
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

  const units = createPluginUnits({
    ...parts, members, noteFault,
    reload: id => {
      inTurn(id, () => reload(id, undefined)).catch((err: unknown) => log.error({ plugin: id, err }, `plugin "${id}" was not reloaded: ${Error.isError(err) ? err.message : String(err)}`))
    },
    onEnd: member => { void tellWhatIsLeft(member) }
  })

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
      const here = members.here()
      return [...here.map(member => units.first(member, disabled.get(member.id))), ...absentUnits(here.map(({ candidate }) => candidate))]
    },
    members: () => members.here().sort((a, b) => a.id < b.id ? -1 : 1),
    find: id => members.find(id),
    reload: (id, disabled) => inTurn(id, () => reload(id, disabled)),
    enable: id => inTurn(id, () => kernel.enable(id)),
    disable: (id, reason) => {
      loads.get(id)?.abort(new Conflict(`The plugin "${id}" was switched off meanwhile.`))
      // The kernel gives up a replacement in progress, so this call does not wait for it.
      return kernel.disable(id, reason)
    },
    noteFault,
    ownerOf: thrown => members.ownerOf(thrown)
  }
}
