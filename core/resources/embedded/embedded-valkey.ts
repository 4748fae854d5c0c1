// In-process replacement for Valkey in development: it stores values and delivers messages with the same answers as the
// real server.

import { LRUCache } from 'lru-cache'
import { ServiceUnavailable } from '../../contract/index.ts'
import type { OpenParts, Resource } from '../../handover/resource.ts'
import { createValkeyClient } from '../valkey/valkey-client.ts'
import type { TextStore, ValkeyClient } from '../valkey/valkey-client.ts'
import { Subscribers } from '../valkey/valkey-subscribers.ts'

const capacityCharacters = 64 * 1024 * 1024
/** Cost of an entry in addition to its characters, so that many tiny entries are bounded too. */
const overheadCharacters = 100

export async function openEmbeddedValkey ({ log, clock }: Pick<OpenParts, 'log' | 'clock'>): Promise<Resource<ValkeyClient>> {
  const store = new MemoryStore(clock)
  return {
    value: {
      ...createValkeyClient(store, { log, clock }),
      // No connection can break here, so the listener is never called.
      onReconnect: () => () => undefined
    },
    check: async () => store.assertOpen(),
    close: async () => store.close()
  }
}

class MemoryStore implements TextStore {
  readonly #texts: LRUCache<string, string>
  readonly #subscribers = new Subscribers()
  #isOpen = true

  constructor (clock: OpenParts['clock']) {
    this.#texts = new LRUCache({
      maxSize: capacityCharacters,
      sizeCalculation: (text, key) => text.length + key.length + overheadCharacters,
      perf: clock,
      ttlResolution: 0
    })
  }

  async get (key: string): Promise<string | undefined> {
    this.assertOpen()
    return this.#texts.get(key)
  }

  async set (key: string, text: string, ttlMs: number): Promise<void> {
    this.assertOpen()
    this.#texts.set(key, text, { ttl: ttlMs })
  }

  async remove (keys: string[]): Promise<void> {
    this.assertOpen()
    for (const key of keys) this.#texts.delete(key)
  }

  async publish (channel: string, text: string): Promise<void> {
    this.assertOpen()
    // The message is delivered later, as by a server: no subscriber runs inside the call of its publisher.
    setImmediate(this.#subscribers.round(channel), text)
  }

  async subscribe (channel: string, take: (text: string) => void): Promise<() => Promise<void>> {
    this.assertOpen()
    const { leave } = this.#subscribers.join(channel, take)
    return async () => { leave() }
  }

  assertOpen (): void {
    if (!this.#isOpen) throw new ServiceUnavailable('The cache is closed.')
  }

  close (): void {
    this.#isOpen = false
    this.#subscribers.clear()
    this.#texts.clear()
  }
}
