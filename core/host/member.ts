// What the host knows of one plugin: the folder, the generation that serves or would, and what each of its generations owns.

import { Account, ownedKinds, type OwnedKind } from './account.ts'
import type { LoadedPlugin } from './definition.ts'
import type { Candidate } from './discover.ts'
import type { PluginImportFailed } from './import-failure.ts'
import type { Owner } from './owner.ts'

export class Member {
  candidate: Candidate
  /** Undefined as long as its code could not be imported. */
  plugin: LoadedPlugin | undefined
  /** Why not, until that is told by its first start. */
  failure: PluginImportFailed | undefined
  /** False once its folder has gone. */
  isHere = true
  #loads = 1
  /** Of every start, and of every import, that still owns something or may. */
  readonly #owners = new Set<Owner>()
  #current: Owner | undefined

  constructor (candidate: Candidate, found: LoadedPlugin | PluginImportFailed) {
    this.candidate = candidate
    if (found instanceof Error) this.failure = found
    else this.plugin = found
  }

  get id (): string {
    return this.candidate.id
  }

  get generation (): number {
    return this.plugin?.owner.generation ?? this.#loads
  }

  /** Each load of its code has a number of its own, one that fails too: the module cache keeps both. */
  takeNumber (): number {
    this.#loads += 1
    return this.#loads
  }

  /** A generation begins: what it makes is its own. */
  begin (plugin: LoadedPlugin): Owner {
    const owner = { plugin: this.id, generation: plugin.owner.generation, account: new Account() }
    this.#owners.add(owner).add(plugin.owner)
    return owner
  }

  /** It serves from now on. */
  serve (owner: Owner): void {
    this.#current = owner
  }

  /** It has ended, if it is the one that served. */
  end (owner: Owner): void {
    if (this.#current === owner) this.#current = undefined
  }

  isServing (owner: Owner): boolean {
    return this.#current !== undefined && owner.plugin === this.id && owner.generation === this.#current.generation
  }

  owns (): Readonly<Record<OwnedKind, number>> {
    const all = [...this.#owners].filter(owner => this.isServing(owner)).map(({ account }) => account.counts())
    return Object.fromEntries(ownedKinds.map(kind => [kind, all.reduce((sum, counts) => sum + counts[kind], 0)])) as Record<OwnedKind, number>
  }

  /** What starts that have ended still own, by name. */
  leftBehind (): readonly string[] {
    const names: string[] = []
    for (const owner of this.#owners) {
      // Code that was imported stays loaded; what its modules made is left behind once another generation serves.
      if (owner === this.#current || (owner === this.plugin?.owner)) continue
      const left = owner.account.names()
      if (left.length === 0) this.#owners.delete(owner)
      names.push(...left.map(name => `generation ${owner.generation}: ${name}`))
    }
    return names
  }
}
