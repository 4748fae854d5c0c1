// All plugins that were ever present, by id: which are present now, in which version, and which plugin declares which permission and event.

import { sep } from 'node:path'
import { NotFound } from '../../contract/index.ts'
import { asError } from '../../contract/thrown.ts'
import { findEventOwners } from '../discovery/event-owner.ts'
import { modulesOf } from '../discovery/plugin-problem.ts'
import type { LoadedPlugin } from '../loading/plugin-definition.ts'
import type { Owner } from '../ownership/owner.ts'
import type { PluginEntry } from './plugin-entry.ts'
import type { Found } from './roster.ts'
import { hostOwner, type PermissionOwners } from './start-plugin.ts'

export class PluginRegistry {
  readonly #all = new Map<string, PluginEntry>()
  readonly #corePermissions: readonly string[]
  /** Plugins that the settings leave out. They keep their events unless a plugin that is present declares them. */
  #leftOut: Found['leftOut'] = []
  /** Number of loads of code under each id, also for plugins that never became present. */
  readonly #loads = new Map<string, number>()
  /** The owner of each permission; undefined when a plugin has changed since. */
  #owners: Map<string, string> | undefined
  /** The plugin that declares each event; undefined when a plugin has changed since. */
  #eventOwners: Map<string, string> | undefined

  constructor (corePermissions: Iterable<string>) {
    this.#corePermissions = [...corePermissions]
  }

  add (member: PluginEntry): void {
    this.#all.set(member.id, member)
    if (!this.#loads.has(member.id)) this.#loads.set(member.id, 1)
    this.changed()
  }

  /** Returns a new number for each load of a plugin's code, also for one that fails: the module cache stores both. */
  takeNumber (id: string): number {
    const number = (this.#loads.get(id) ?? 0) + 1
    this.#loads.set(id, number)
    return number
  }

  /** Called when a plugin came, went, or has another generation. */
  changed (): void {
    this.#owners = undefined
    this.#eventOwners = undefined
  }

  leaveOut (plugins: Found['leftOut']): void {
    this.#leftOut = plugins
    this.changed()
  }

  /** Returns the id of the plugin that declares the event, also if that plugin does not run. */
  ownerOfEvent (event: string): string | undefined {
    this.#eventOwners ??= findEventOwners([...this.here().map(({ candidate }) => candidate), ...this.#leftOut])
    return this.#eventOwners.get(event)
  }

  /** Returns the plugin, also one that is gone. */
  get (id: string): PluginEntry | undefined {
    return this.#all.get(id)
  }

  here (): PluginEntry[] {
    return [...this.#all.values()].filter(({ isHere }) => isHere)
  }

  /** Throws `NotFound` when no present plugin has this id. */
  find (id: string): PluginEntry {
    const member = this.#all.get(id)
    if (member?.isHere !== true) throw new NotFound(`There is no plugin "${id}".`)
    return member
  }

  versionOf (id: string): string | undefined {
    const member = this.#all.get(id)
    return member?.isHere === true ? member.candidate.version : undefined
  }

  othersThan (id: string): LoadedPlugin[] {
    return this.here().flatMap(member => member.plugin === undefined || member.id === id ? [] : [member.plugin])
  }

  /**
   * Returns the permission owners as this plugin sees them. Its own permissions are those of its definition, which may
   * differ from those of the generation that serves.
   */
  permissionsFor ({ candidate: { id }, definition }: LoadedPlugin): PermissionOwners {
    const owners = this.#owners ??= this.#findOwners()
    const own = new Set(Object.keys(definition.permissions ?? {}))
    return {
      ownerOf: permission => {
        if (own.has(permission)) return id
        const owner = owners.get(permission)
        return owner === id ? undefined : owner
      },
      names: () => [...owners.keys(), ...own]
    }
  }

  #findOwners (): Map<string, string> {
    const owners = new Map(this.#corePermissions.map(name => [name, hostOwner]))
    for (const { id, plugin } of this.here()) for (const name of Object.keys(plugin?.definition.permissions ?? {})) owners.set(name, id)
    return owners
  }

  /** Returns the owner of the code that threw, found by the innermost plugin module in the stack. */
  ownerOf (thrown: unknown): Owner | undefined {
    for (const { path, generation } of modulesOf(asError(thrown))) {
      const member = this.here().find(({ candidate: { folder } }) => path.startsWith(folder + sep))
      if (member !== undefined) return member.ownerOf(generation)
    }
    return undefined
  }
}
