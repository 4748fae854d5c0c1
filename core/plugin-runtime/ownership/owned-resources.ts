// What a generation owns: opened, counted by kind, and let go when it ends. What is left after that is told by name.

export const ownedKinds = ['routes', 'tasks', 'timers', 'subscriptions', 'listeners', 'connections', 'others'] as const
export type OwnedKind = (typeof ownedKinds)[number]

type LetGo = () => void | Promise<void>

interface Owned {
  readonly kind: OwnedKind
  readonly name: string
  /** Undefined for what goes when it is done: a transaction, what a plugin made without its scope. */
  readonly letGo: LetGo | undefined
}

export class OwnedResources {
  readonly #owned = new Set<Owned>()

  /** Call the result once it is gone. */
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

  /** The names of all that is still there: `timer (a setInterval at invoices/index.ts:12)`. */
  names (): readonly string[] {
    return [...this.#owned].map(({ kind, name }) => `${kind.slice(0, -1)} (${name})`)
  }

  /** Lets go of everything that can be let go of; rejects with what failed once all was tried. */
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
