// The objects that a watcher has been told of, so that after a gap it can be told the differences.

import type { KubernetesChange, KubernetesObject } from '../../contract/index.ts'

export class KnownObjects {
  /** By uid: one that was deleted and made again under its old name is another. */
  readonly #objects = new Map<string, KubernetesObject>()

  /** What is there now: the changes that lead to it, deletions first. */
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
