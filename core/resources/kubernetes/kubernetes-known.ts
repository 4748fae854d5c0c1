// Remembers the objects that a watcher has seen, so that after a gap the watcher gets only the differences.

import type { KubernetesChange, KubernetesObject } from '../../contract/index.ts'

export class KnownObjects {
  /** Objects by uid: an object that was deleted and created again under its old name is a different object. */
  readonly #objects = new Map<string, KubernetesObject>()

  /** Takes the objects that exist now, and returns the changes that lead to them, deletions first. */
  replace (present: readonly KubernetesObject[]): KubernetesChange[] {
    const uids = new Set(present.map(({ metadata: { uid } }) => uid))
    const gone = [...this.#objects.values()].filter(({ metadata: { uid } }) => !uids.has(uid))
    return [...gone.flatMap(object => this.remove(object)), ...present.flatMap(object => this.put(object))]
  }

  put (object: KubernetesObject): KubernetesChange[] {
    const { uid, resourceVersion } = object.metadata
    const known = this.#objects.get(uid)
    if (known?.metadata.resourceVersion === resourceVersion) return []
    this.#objects.set(uid, object)
    return [{ type: known === undefined ? 'ADDED' : 'MODIFIED', object }]
  }

  remove (object: KubernetesObject): KubernetesChange[] {
    return this.#objects.delete(object.metadata.uid) ? [{ type: 'DELETED', object }] : []
  }

  clear (): void {
    this.#objects.clear()
  }
}
