// What the stand-in for the Kubernetes API keeps: objects, their versions, and who watches them.

import { randomUUID } from 'node:crypto'

export interface StoredObject {
  kind?: string
  apiVersion?: string
  metadata: { name: string, namespace?: string, uid?: string, resourceVersion?: string, creationTimestamp?: string, labels?: Record<string, string> }
}

export interface Event { type: 'ADDED' | 'MODIFIED' | 'DELETED', version: number, object: StoredObject }
export type Selects = (object: StoredObject) => boolean

interface Watcher { selects: Selects, take: (event: Event) => void }

export class Store {
  readonly #objects = new Map<string, StoredObject>()
  readonly #watchers = new Set<Watcher>()
  #history: Event[] = []
  /** Versions up to this one cannot be followed any more. */
  #forgotten = 0
  version = 1

  get (key: string): StoredObject | undefined {
    return this.#objects.get(key)
  }

  list (selects: Selects): StoredObject[] {
    return [...this.#objects.values()].filter(selects)
  }

  put (key: string, namespace: string, object: StoredObject): StoredObject {
    const known = this.#objects.get(key)
    const { uid = randomUUID(), creationTimestamp = new Date().toISOString() } = known?.metadata ?? {}
    const stored = { ...object, metadata: { ...object.metadata, namespace, uid, creationTimestamp, resourceVersion: String(++this.version) } }
    this.#objects.set(key, stored)
    this.#tell({ type: known === undefined ? 'ADDED' : 'MODIFIED', version: this.version, object: stored })
    return stored
  }

  remove (key: string): void {
    const known = this.#objects.get(key)
    if (known === undefined) return
    this.#objects.delete(key)
    this.#tell({ type: 'DELETED', version: ++this.version, object: { ...known, metadata: { ...known.metadata, resourceVersion: String(this.version) } } })
  }

  /** As a real one does after some minutes: older versions are 410. */
  compact (): void {
    this.#history = []
    this.#forgotten = ++this.version
  }

  /** Gives what came after `version`, then what comes; undefined when that is forgotten. The result leaves. */
  watch (version: number, selects: Selects, take: (event: Event) => void): (() => void) | undefined {
    if (version < this.#forgotten) return undefined
    for (const event of this.#history) if (event.version > version && selects(event.object)) take(event)
    const watcher = { selects, take }
    this.#watchers.add(watcher)
    return () => { this.#watchers.delete(watcher) }
  }

  get watching (): number {
    return this.#watchers.size
  }

  #tell (event: Event): void {
    this.#history.push(event)
    for (const { selects, take } of this.#watchers) if (selects(event.object)) take(event)
  }
}
