// The plugins that are here, and what becomes of them while the host serves: replaced, installed, taken away, switched off and on.

import { NotFound, type Log } from '../contract/index.ts'
import type { Kernel, Recovery, Serve, StartContext, UnitDefinition } from '../kernel/index.ts'
import type { LoadedPlugin } from './definition.ts'
import type { Candidate } from './discover.ts'
import { FaultCounter, TooManyFaults, type FaultLimit } from './fault.ts'
import { findCandidate, loadGeneration, type GenerationParts } from './generation.ts'
import type { PluginImportFailed } from './import-failure.ts'
import { Member } from './member.ts'
import type { Owner } from './owner.ts'
import { hostOwner, needsOf, startPlugin, type PermissionOwners, type PluginParts } from './unit.ts'
import { isWithin } from './version.ts'

export interface RosterParts extends GenerationParts {
  readonly kernel: Kernel
  /** What the other rooms do for plugins; asked for once the first one starts. */
  readonly rooms: () => Omit<PluginParts, 'noteFault' | 'services'>
  readonly log: Log
  readonly startBudgetMs: number
  readonly stopBudgetMs: number
  readonly recover: Recovery
  readonly faultLimit: FaultLimit
  /** Every plugin needs these units of the host. */
  readonly needs: readonly string[]
  configOf (plugin: LoadedPlugin): Readonly<Record<string, unknown>>
  logOf (id: string, generation: number): Log
}

export interface Found {
  readonly plugins: readonly LoadedPlugin[]
  /** Degraded plugins whose code could not be imported: they are tried again. */
  readonly failures: readonly { readonly candidate: Candidate, readonly error: PluginImportFailed }[]
}

export interface Roster {
  /** The units of what was found at the start; `disabled` says why one is switched off, by id. */
  units (found: Found, disabled: ReadonlyMap<string, string>): UnitDefinition[]
  /** Those that are here, in the order of their ids. */
  members (): readonly Member[]
  /** `NotFound` when no plugin has this id. */
  find (id: string): Member
  /**
   * Makes the plugin what its folder says now. Resolves at the switch; throws what kept the new generation from taking over. A plugin that is
   * new, or back, is switched off when `disabled` says why.
   */
  reload (id: string, disabled?: string): Promise<Member>
  enable (id: string): Promise<void>
  /** Resolves when it has ended. */
  disable (id: string, reason: string): Promise<void>
  /** What code of a plugin threw where nobody waited for it: too many, and the plugin is quarantined. */
  noteFault (owner: Owner, thrown: unknown): void
}

/** What is closed only now and then, a connection that is kept alive say, has gone by then. */
const leftAfterMs = 10_000

export function createRoster (parts: RosterParts): Roster {
  const { kernel, clock, log } = parts
  const all = new Map<string, Member>()
  const counters = new Map<string, FaultCounter>()
  const turns = new Map<string, Promise<void>>()
  const services: PluginParts['services'] = new Map()

  const here = (): Member[] => [...all.values()].filter(({ isHere }) => isHere)
  const othersThan = (id: string): LoadedPlugin[] =>
    here().flatMap(({ plugin }) => plugin === undefined || plugin.candidate.id === id ? [] : [plugin])

  const permissionsOf = (own: LoadedPlugin): PermissionOwners => {
    const owners = new Map(parts.corePermissions.map(name => [name, hostOwner]))
    for (const { candidate, definition } of [...othersThan(own.candidate.id), own]) {
      for (const name of Object.keys(definition.permissions ?? {})) owners.set(name, candidate.id)
    }
    return { ownerOf: permission => owners.get(permission), names: () => [...owners.keys()] }
  }

  const start = async (member: Member, plugin: LoadedPlugin, context: StartContext): Promise<Serve> => {
    const owner = member.begin(plugin)
    // Pushed first, so done last.
    context.undo('account', () => {
      member.end(owner)
      void tellWhatIsLeft(member)
    })
    const serve = await startPlugin({
      plugin, owner, config: parts.configOf(plugin), log: parts.logOf(member.id, owner.generation), permissions: permissionsOf(plugin)
    }, { ...parts.rooms(), services, noteFault }, context)
    return () => { serve(); member.serve(owner) }
  }

  /** Code that could not be imported is imported anew by each start. */
  const load = async (member: Member): Promise<LoadedPlugin> => {
    const { failure } = member
    member.failure = undefined
    if (failure !== undefined) throw failure
    return member.plugin ??= await loadGeneration(member.candidate, member.takeNumber(), parts, othersThan(member.id))
  }

  const unitOf = (candidate: Candidate, startWith: (context: StartContext) => Promise<Serve>, disabled?: string): UnitDefinition => {
    const { id, manifest: { tolerates, requires, optional, readiness } } = candidate
    const usable = Object.entries(optional).filter(([other, range]) => isWithin(all.get(other)?.candidate.version ?? '', range)).map(([other]) => other)
    return {
      id,
      kind: 'plugin',
      needs: [...parts.needs, ...needsOf(candidate)],
      after: [...tolerates, ...usable],
      required: readiness === 'required',
      startBudgetMs: parts.startBudgetMs,
      stopBudgetMs: parts.stopBudgetMs,
      recover: parts.recover,
      ...disabled !== undefined && { disabled },
      refuses: need => {
        const range = requires[need]
        const version = all.get(need)?.candidate.version
        return range === undefined || version === undefined || isWithin(version, range) ? undefined : `it requires "${need}" ${range}, and ${version} is here`
      },
      start: startWith
    }
  }

  const enter = (member: Member, disabled: string | undefined): UnitDefinition =>
    unitOf(member.candidate, async context => start(member, await load(member), context), disabled)

  /** One change of a plugin after another. */
  const inTurn = <T>(id: string, work: () => Promise<T>): Promise<T> => {
    const turn = (turns.get(id) ?? Promise.resolve()).then(work)
    turns.set(id, turn.then(() => undefined, () => { /* Whoever asked for it has heard. */ }))
    return turn
  }

  const reload = async (id: string, disabled: string | undefined): Promise<Member> => {
    const member = all.get(id)
    const candidate = await findCandidate(id, parts, here().map(other => other.candidate))
    if (candidate === undefined) {
      if (member?.isHere !== true) throw notFound(id)
      return remove(member)
    }
    const generation = member?.takeNumber() ?? 1
    const plugin = await loadGeneration(candidate, generation, parts, othersThan(id))
    return member === undefined ? install(candidate, plugin, disabled) : replace(member, plugin, disabled)
  }

  const install = async (candidate: Candidate, plugin: LoadedPlugin, disabled: string | undefined): Promise<Member> => {
    const member = new Member(candidate, plugin)
    all.set(candidate.id, member)
    // A host that serves does not end because of what is new.
    await kernel.start([{ ...enter(member, disabled), required: false }])
    log.info({ plugin: member.id, version: candidate.version }, `plugin "${member.id}" was installed`)
    return member
  }

  const remove = async (member: Member): Promise<Member> => {
    member.isHere = false
    await kernel.disable(member.id, `its folder ${member.candidate.folder} has gone`)
    parts.rooms().release(member.id)
    log.info({ plugin: member.id }, `plugin "${member.id}" was removed: its folder has gone`)
    return member
  }

  const replace = async (member: Member, plugin: LoadedPlugin, disabled: string | undefined): Promise<Member> => {
    const { candidate } = plugin
    const last = member.plugin
    const wasRunning = kernel.unit(member.id)?.state === 'running'
    const wasHere = member.isHere
    const switched = Promise.withResolvers<undefined>()
    const unit = unitOf(candidate, context => start(member, plugin, context))
    const adopt = (): void => {
      Object.assign(member, { candidate, plugin, failure: undefined, isHere: true })
      log.info({ plugin: member.id, version: candidate.version, generation: plugin.owner.generation, before: last?.owner.generation }, `plugin "${member.id}" is now generation ${plugin.owner.generation}`)
      if (wasRunning) switched.resolve(undefined)
    }
    // What comes after the switch is the end of the last generation, for which nobody waits.
    kernel.replace(unit, adopt).then(() => switched.resolve(undefined), switched.reject)
    await switched.promise
    if (!wasHere && disabled === undefined) await kernel.enable(member.id)
    return member
  }

  const noteFault = (owner: Owner, thrown: unknown): void => {
    const member = all.get(owner.plugin)
    const facts = { plugin: owner.plugin, generation: owner.generation, err: thrown }
    if (member?.isServing(owner) !== true) {
      log.error(facts, `an error of plugin "${owner.plugin}" that nobody caught, of a generation that does not serve`)
      return
    }
    log.error(facts, `an error of plugin "${owner.plugin}" that nobody caught`)
    const counter = counters.get(owner.plugin) ?? new FaultCounter(parts.faultLimit)
    counters.set(owner.plugin, counter)
    if (counter.count(clock.now())) kernel.fail(owner.plugin, new TooManyFaults(parts.faultLimit, thrown))
  }

  const tellWhatIsLeft = async (member: Member): Promise<void> => {
    if (member.leftBehind().length === 0) return
    await clock.sleep(leftAfterMs)
    const left = member.leftBehind()
    if (left.length > 0) log.warn({ plugin: member.id, left }, `plugin "${member.id}" has ended and left behind: ${left.join(', ')}. Make them with the scope (timers, listen), or undo them with "undo".`)
  }

  return {
    units ({ plugins, failures }, disabled) {
      for (const plugin of plugins) all.set(plugin.candidate.id, new Member(plugin.candidate, plugin))
      for (const { candidate, error } of failures) all.set(candidate.id, new Member(candidate, error))
      return [...all.values()].map(member => enter(member, disabled.get(member.id)))
    },
    members: () => here().sort((a, b) => a.id < b.id ? -1 : 1),
    find (id) {
      const member = all.get(id)
      if (member?.isHere !== true) throw notFound(id)
      return member
    },
    reload: (id, disabled) => inTurn(id, () => reload(id, disabled)),
    enable: id => inTurn(id, () => kernel.enable(id)),
    disable: (id, reason) => inTurn(id, () => kernel.disable(id, reason)),
    noteFault
  }
}

const notFound = (id: string): NotFound => new NotFound(`There is no plugin "${id}".`)
