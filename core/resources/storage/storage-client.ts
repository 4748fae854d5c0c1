// Gives a bucket and a folder the same behaviour: checked keys under a prefix, deadlines, retries, and errors from the
// error catalogue.

import { setTimeout as sleep } from 'node:timers/promises'
import { withDeadline } from '../../concurrency/deadline.ts'
import type { Storage, StoredObject } from '../../contract/index.ts'
import type { Pulse } from '../pulse.ts'
import { isStorageAnswer, mapStorageError, parseStorageError } from './storage-error.ts'
import { checkStorageKey, checkStoragePrefix } from './storage-key.ts'

export interface StorageClient {
  /** Handle of the host; its keys have no prefix. */
  readonly host: Storage
  /** Returns the handle of a plugin; its keys are under `<id>/`. */
  scoped (id: string): Storage
}

export interface StorageLimits { deadlineMs?: number, presignDeadlineMs?: number }

export const pageSize = 1_000
const attempts = 3
const longestLinkMs = 7 * 24 * 60 * 60 * 1_000

export function createStorageClient (place: Place, pulse: Pulse, limits: StorageLimits): StorageClient {
  return {
    host: new PrefixedStorage(place, pulse, '', limits),
    scoped: id => {
      if (!/^[a-z0-9-]+$/.test(id)) throw new TypeError(`"${id}" is not a plugin id: use lower case letters, digits and dashes`)
      return new PrefixedStorage(place, pulse, `${id}/`, limits)
    }
  }
}

/**
 * The place where objects are stored. Its methods get complete, checked keys. A failure is temporary when
 * `parseStorageError` says `temporary`.
 */
export interface Place {
  /** Rejects when the key cannot be used in this place. */
  admit (key: string): Promise<void>
  read (key: string): Promise<Buffer>
  write (key: string, content: Buffer | string, contentType: string | undefined): Promise<void>
  find (key: string): Promise<StoredObject | undefined>
  remove (key: string): Promise<void>
  /** Missing in a place that supports no links. */
  presign? (key: string, use: 'read' | 'write', seconds: number): Promise<string>
  /** Yields the objects whose keys begin with `prefix`, in key order. Reads only as far as the caller asks. */
  walk (prefix: string, limit: number): AsyncGenerator<StoredObject>
  check (signal: AbortSignal): Promise<void>
}

class PrefixedStorage implements Storage {
  readonly #place: Place
  readonly #pulse: Pulse
  readonly #prefix: string
  readonly #deadlineMs: number
  readonly #presignDeadlineMs: number

  constructor (place: Place, pulse: Pulse, prefix: string, { deadlineMs = 10_000, presignDeadlineMs = 1_000 }: StorageLimits) {
    this.#place = place
    this.#pulse = pulse
    this.#prefix = prefix
    this.#deadlineMs = deadlineMs
    this.#presignDeadlineMs = presignDeadlineMs
  }

  read (key: string): Promise<Buffer> {
    return this.#within(key, path => this.#place.read(path))
  }

  async write (key: string, content: Buffer | string, { contentType }: { contentType?: string } = {}): Promise<void> {
    await this.#within(key, path => this.#place.write(path, content, contentType))
  }

  stat (key: string): Promise<StoredObject | undefined> {
    return this.#within(key, async path => this.#own(await this.#place.find(path)))
  }

  async delete (key: string): Promise<void> {
    await this.#within(key, path => this.#place.remove(path))
  }

  async list (prefix: string, { limit = pageSize }: { limit?: number } = {}): Promise<StoredObject[]> {
    checkStoragePrefix(this.#prefix + prefix)
    if (limit <= 0) return []
    return this.#asking(async signal => {
      const objects: StoredObject[] = []
      for await (const object of this.#place.walk(this.#prefix + prefix, limit)) {
        signal.throwIfAborted()
        if (objects.push(this.#own(object)) >= limit) break
      }
      // Some servers do not sort as S3 does.
      return objects.sort(byKey)
    })
  }

  async presign (key: string, { for: use, expiresInMs }: { for: 'read' | 'write', expiresInMs: number }): Promise<string | undefined> {
    if (!(expiresInMs >= 1_000 && expiresInMs <= longestLinkMs)) {
      throw new RangeError(`expiresInMs is ${expiresInMs}: a link lives from 1 s to 7 days (${longestLinkMs} ms)`)
    }
    const path = this.#path(key)
    // The link is computed locally, without a request to the service.
    return this.#attempt(this.#presignDeadlineMs, async () => this.#place.presign?.(path, use, Math.ceil(expiresInMs / 1_000)))
  }

  #path (key: string): string {
    const path = this.#prefix + key
    checkStorageKey(path)
    return path
  }

  #own<O extends StoredObject | undefined> (object: O): O {
    return object === undefined ? object : { ...object, key: object.key.slice(this.#prefix.length) }
  }

  async #within<T> (key: string, work: (path: string) => Promise<T>): Promise<T> {
    const path = this.#path(key)
    return this.#asking(async () => {
      await this.#place.admit(path)
      return work(path)
    })
  }

  /** Rejects when the deadline passes or the service falls silent. A long transfer does not count as silence. */
  async #asking<T> (work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.#pulse.begin()
    try {
      return await this.#attempt(this.#deadlineMs, work, this.#pulse.signal)
    } finally {
      this.#pulse.end()
    }
  }

  /**
   * Every call here has the same effect when it is made twice, so a temporary failure is retried, for writes too. The
   * client's RetryLayer is not used: it does not retry writes, and it requests an object whose body is cut short again
   * and again, without end and past any deadline.
   */
  async #attempt<T> (deadlineMs: number, work: (signal: AbortSignal) => Promise<T>, silence?: AbortSignal): Promise<T> {
    try {
      return await withDeadline(deadlineMs, async signal => {
        for (let attempt = 1; ; attempt++) {
          try {
            const result = await work(signal)
            this.#pulse.beat()
            return result
          } catch (error) {
            if (isStorageAnswer(error)) this.#pulse.beat()
            if (attempt === attempts || parseStorageError(error).persistence !== 'temporary') throw error
            await sleep(attempt * 100, undefined, { signal })
          }
        }
      }, silence)
    } catch (error) {
      throw mapStorageError(error)
    }
  }
}

/** Compares keys in the order of their UTF-8 bytes, as S3 does. */
export function byKey (one: { key: string }, other: { key: string }): number {
  return Buffer.compare(Buffer.from(one.key), Buffer.from(other.key))
}
