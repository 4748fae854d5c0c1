// What the host knows of one plugin: the folder, the generation that serves or would, and what each of its generations owns.

import type { Candidate } from '../discovery/discover.ts'
import type { PluginImportFailed } from '../loading/import-failure.ts'
import type { LoadedPlugin } from '../loading/plugin-definition.ts'
import { OwnedResources, ownedKinds, type OwnedKind } from '../ownership/owned-resources.ts'
import type { Owner } from '../ownership/owner.ts'

export class PluginEntry {
  candidate: Candidate
  /** Undefined as long as its code could not be imported. */
  plugin: LoadedPlugin | undefined
  /** Why not, until that is told by its first start. */
  failure: PluginImportFailed | undefined
  /** False as long as its schema could not be brought up to date. */
  isMigrated = true
  /** False once its folder has gone. */
  isHere = true
  /** Of the start that serves. */
  #current: Owner | undefined
  /** Of starts that have ended, and of imports whose generation has: as long as they own something. */
  readonly #ended = new Set<Owner>()

  constructor (candidate: Candidate, found: LoadedPlugin | PluginImportFailed) {
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

  /** It serves from now on. */
  serve (owner: Owner): void {
    this.#current = owner
  }

  /** Everything it did is undone. */
  end (owner: Owner): void {
    if (this.#current === owner) this.#current = undefined
    this.#ended.add(owner)
  }

  /** Another generation has taken the place of this one; its modules stay loaded. */
  retire (plugin: LoadedPlugin): void {
    this.#ended.add(plugin.owner)
  }

  /** Its code, or that of its modules, is what serves now. */
  isServing (owner: Owner): boolean {
    return this.#current !== undefined && (owner === this.#current || owner === this.plugin?.owner)
  }

  /** Of the modules of a generation; of one that has gone, an owner of nothing. */
  ownerOf (generation: number): Owner {
    const owner = this.plugin?.owner
    return owner?.generation === generation ? owner : { plugin: this.id, generation, account: new OwnedResources() }
  }

  owns (): Readonly<Record<OwnedKind, number>> {
    const owners = this.#current === undefined ? [] : [this.#current, this.plugin?.owner]
    const all = owners.flatMap(owner => owner === undefined ? [] : [owner.account.counts()])
    return Object.fromEntries(ownedKinds.map(kind => [kind, all.reduce((sum, counts) => sum + counts[kind], 0)])) as Record<OwnedKind, number>
  }

  /** What starts that have ended still own, by name. */
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

/** Whoever starts a generation: what it makes is its own. */
export const createOwner = (plugin: LoadedPlugin): Owner =>
  ({ plugin: plugin.candidate.id, generation: plugin.owner.generation, account: new OwnedResources() })
