// The plugins that are here, and what becomes of them while the host serves: replaced, installed, taken away, switched off and on.

import { sep } from 'node:path'
import { Conflict, NotFound, type Log } from '../contract/index.ts'
import { NotReplaced, type Kernel, type Recovery, type Serve, type StartContext, type UnitDefinition } from '../kernel/index.ts'
import type { LoadedPlugin } from './definition.ts'
import type { Candidate } from './discover.ts'
import { FaultCounter, TooManyFaults, type FaultLimit } from './fault.ts'
import { findCandidate, loadGeneration, type GenerationParts } from './generation.ts'
import type { PluginImportFailed } from './import-failure.ts'
import { createOwner, Member } from './member.ts'
import { runAs, type Owner } from './owner.ts'
import { modulesOf } from './problem.ts'
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
  /** Whose code threw it, by its stack, where the context of the throw does not tell. */
  ownerOf (thrown: unknown): Owner | undefined
}

/** What is closed only now and then, a connection that is kept alive say, has gone by then. */
const leftAfterMs = 10_000

export function createRoster (parts: RosterParts): Roster {
  const { kernel, clock, log } = parts
  const all = new Map<string, Member>()
  const counters = new Map<string, FaultCounter>()
  const turns = new Map<string, Promise<void>>()
  const services: PluginParts['services'] = new Map()
  /** Those found at the start are declared together, before any of them starts. */
  const declared = new WeakSet<LoadedPlugin>()
  const loads = new Map<string, AbortController>()

  const versionOf = (id: string): string | undefined => here().find(member => member.id === id)?.candidate.version
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
    const owner = createOwner(plugin)
    // Pushed first, so done last.
    context.undo('account', () => {
      member.end(owner)
      void tellWhatIsLeft(member)
    })
    const serve = await startPlugin({
      plugin, owner, config: parts.configOf(plugin), log: parts.logOf(member.id, owner.generation), permissions: permissionsOf(plugin)
    }, { ...parts.rooms(), services, noteFault }, context)
    // Not before it has started: what a generation that never serves declares changes nobody's permissions.
    if (!declared.has(plugin)) await parts.declare([...othersThan(member.id), plugin])
    declared.add(plugin)
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
    const usable = Object.entries(optional).filter(([other, range]) => isWithin(versionOf(other) ?? '', range)).map(([other]) => other)
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
        const version = versionOf(need)
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
    const plugin = await unlessSwitchedOff(id, loadGeneration(candidate, generation, parts, othersThan(id)))
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
    const why = `its folder ${member.candidate.folder} has gone`
    await kernel.disable(member.id, why)
    // What it needed stands in nobody's way any more.
    await kernel.replace({ ...enter(member, why), needs: [], after: [] })
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
      if (last !== undefined) member.retire(last)
      Object.assign(member, { candidate, plugin, failure: undefined, isHere: true })
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
  })

  const ownerOf = (thrown: unknown): Owner | undefined => {
    for (const { path, generation } of Error.isError(thrown) ? modulesOf(thrown) : []) {
      const member = here().find(({ candidate: { folder } }) => path.startsWith(folder + sep))
      if (member !== undefined) return member.ownerOf(generation)
    }
    return undefined
  }

  const tellWhatIsLeft = async (member: Member): Promise<void> => {
    if (member.leftBehind().length === 0) return
    await clock.sleep(leftAfterMs)
    const left = member.leftBehind()
    if (left.length > 0) log.warn({ plugin: member.id, left }, `plugin "${member.id}" has ended and left behind: ${left.join(', ')}. Make them with the scope (timers, listen), or undo them with "undo".`)
  }

  return {
    units ({ plugins, failures }, disabled) {
      for (const plugin of plugins) {
        declared.add(plugin)
        all.set(plugin.candidate.id, new Member(plugin.candidate, plugin))
      }
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
    disable: (id, reason) => {
      loads.get(id)?.abort()
      // The kernel gives up a replacement that is under way, so this does not wait for it.
      return kernel.disable(id, reason)
    },
    noteFault,
    ownerOf
  }
}

const notFound = (id: string): NotFound => new NotFound(`There is no plugin "${id}".`)
