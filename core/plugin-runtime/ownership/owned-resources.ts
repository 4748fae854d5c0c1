// Records what a generation owns: counted by kind, released when the generation ends. The log names what is left after that.

export const ownedKinds = ['routes', 'tasks', 'timers', 'subscriptions', 'listeners', 'connections', 'others'] as const
export type OwnedKind = (typeof ownedKinds)[number]

type LetGo = () => void | Promise<void>

interface Owned {
  readonly kind: OwnedKind
  readonly name: string
  /**
   * Undefined for a resource that goes away when it is done: a transaction, or something that a plugin made outside its
   * scope.
   */
  readonly letGo: LetGo | undefined
}

export class OwnedResources {
  readonly #owned = new Set<Owned>()

  /** Records a resource. Call the returned function once the resource is gone. */
  open (kind: OwnedKind, name: string, letGo?: LetGo): () => void {
    const owned = { kind, name, letGo }
    this.#owned.add(owned)
    return () => { this.#owned.delete(owned) }
  }

  counts (): Readonly<Record<OwnedKind, number>> {
    const counts = Object.fromEntries(ownedKinds.map(kind => [kind, 0])) as Record<OwnedKind, number>
    for (const { kind } of this.#owned) counts[kind] += 1
    return counts
  }

  /** Returns the names of everything still owned: `timer (a setInterval at invoices/index.ts:12)`. */
  names (): readonly string[] {
    return [...this.#owned].map(({ kind, name }) => `${kind.slice(0, -1)} (${name})`)
  }

  /** Releases everything that can be released. Rejects with the failures once all were tried. */
  async close (): Promise<void> {
    const results = await Promise.allSettled([...this.#owned].flatMap(owned => owned.letGo === undefined ? [] : [this.#close(owned, owned.letGo)]))
    const failures = results.flatMap(result => result.status === 'rejected' ? [result.reason as unknown] : [])
    if (failures.length > 0) throw new AggregateError(failures, `${failures.length} of the resources of the plugin could not be released`)
  }

  async #close (owned: Owned, letGo: LetGo): Promise<void> {
    await letGo()
    this.#owned.delete(owned)
  }
}
