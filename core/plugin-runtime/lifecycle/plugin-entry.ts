// The host's record of one plugin: its folder, the generation that serves or would serve, and what each of its generations owns.

import type { Candidate } from '../discovery/discover.ts'
import type { LoadedPlugin, LoadFailure } from '../loading/plugin-definition.ts'
import { OwnedResources, ownedKinds, type OwnedKind } from '../ownership/owned-resources.ts'
import type { Owner } from '../ownership/owner.ts'

export class PluginEntry {
  candidate: Candidate
  /** Undefined as long as it could not be loaded. */
  plugin: LoadedPlugin | undefined
  /** Why it could not be loaded, until a start of the plugin reports it. */
  failure: LoadFailure['error'] | undefined
  /** False as long as its schema could not be brought up to date. */
  isMigrated = true
  /** False once its folder is gone. */
  isHere = true
  /** The owner of the start that serves. */
  #current: Owner | undefined
  /** Owners of ended starts, and of the imports of replaced generations, as long as they own something. */
  readonly #ended = new Set<Owner>()

  constructor (candidate: Candidate, found: LoadedPlugin | LoadFailure['error'] | undefined) {
    this.candidate = candidate
    if (found instanceof Error) this.failure = found
    else this.plugin = found
  }

  get id (): string {
    return this.candidate.id
  }

  get generation (): number {
    return this.plugin?.owner.generation ?? 1
  }

  /** Marks this start as the one that serves from now on. */
  serve (owner: Owner): void {
    this.#current = owner
  }

  /** Called when everything that this start did is undone. */
  end (owner: Owner): void {
    if (this.#current === owner) this.#current = undefined
    this.#ended.add(owner)
  }

  /** Called when another generation has replaced this one; its modules stay loaded. */
  retire (plugin: LoadedPlugin): void {
    this.#ended.add(plugin.owner)
  }

  /** Tells whether the owner is the start that serves, or the import of the generation that serves. */
  isServing (owner: Owner): boolean {
    return this.#current !== undefined && (owner === this.#current || owner === this.plugin?.owner)
  }

  /** Returns the owner of a generation's modules. For a generation that is gone, the result owns nothing. */
  ownerOf (generation: number): Owner {
    const owner = this.plugin?.owner
    return owner?.generation === generation ? owner : { plugin: this.id, generation, account: new OwnedResources() }
  }

  owns (): Readonly<Record<OwnedKind, number>> {
    const owners = this.#current === undefined ? [] : [this.#current, this.plugin?.owner]
    const all = owners.flatMap(owner => owner === undefined ? [] : [owner.account.counts()])
    return Object.fromEntries(ownedKinds.map(kind => [kind, all.reduce((sum, counts) => sum + counts[kind], 0)])) as Record<OwnedKind, number>
  }

  /** Returns the names of everything that ended starts still own. */
  leftBehind (): readonly string[] {
    const names: string[] = []
    for (const owner of this.#ended) {
      const left = owner.account.names()
      if (left.length === 0) this.#ended.delete(owner)
      names.push(...left.map(name => `generation ${owner.generation}: ${name}`))
    }
    return names
  }
}

/** Creates the owner of one start of a generation: it owns what that start makes. */
export const createOwner = (plugin: LoadedPlugin): Owner =>
  ({ plugin: plugin.candidate.id, generation: plugin.owner.generation, account: new OwnedResources() })
