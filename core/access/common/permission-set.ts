// A read-only set of the permissions of a user, as plugins see it. The set is cached and shared among requests,
// so no plugin may add to it.

/** It does not extend `Set`, because `Set.prototype.add.call(…)` would add to it even if its own methods were blocked. */
export class PermissionSet implements ReadonlySet<string> {
  readonly #names: ReadonlySet<string>

  constructor (names: Iterable<string> = []) {
    this.#names = new Set(names)
    Object.freeze(this)
  }

  get size (): number { return this.#names.size }
  get [Symbol.toStringTag] (): string { return 'PermissionSet' }
  has (name: string): boolean { return this.#names.has(name) }
  [Symbol.iterator] (): SetIterator<string> { return this.#names.values() }
  values (): SetIterator<string> { return this.#names.values() }
  keys (): SetIterator<string> { return this.#names.keys() }
  entries (): SetIterator<[string, string]> { return this.#names.entries() }
  union<U> (other: ReadonlySetLike<U>): Set<string | U> { return this.#names.union(other) }
  intersection<U> (other: ReadonlySetLike<U>): Set<string & U> { return this.#names.intersection(other) }
  difference<U> (other: ReadonlySetLike<U>): Set<string> { return this.#names.difference(other) }
  symmetricDifference<U> (other: ReadonlySetLike<U>): Set<string | U> { return this.#names.symmetricDifference(other) }
  isSubsetOf (other: ReadonlySetLike<unknown>): boolean { return this.#names.isSubsetOf(other) }
  isSupersetOf (other: ReadonlySetLike<unknown>): boolean { return this.#names.isSupersetOf(other) }
  isDisjointFrom (other: ReadonlySetLike<unknown>): boolean { return this.#names.isDisjointFrom(other) }

  forEach (listener: (name: string, again: string, set: ReadonlySet<string>) => void, self?: unknown): void {
    for (const name of this.#names) listener.call(self, name, name, this)
  }
}

Object.freeze(PermissionSet.prototype)
