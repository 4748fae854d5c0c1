// Gives the real and the in-process Valkey the same behaviour, over a store of texts: checked keys, JSON, schemas, and
// one load for many waiting callers.

import { ServiceUnavailable } from '../../contract/index.ts'
import type { Clock, Log, Valkey, z } from '../../contract/index.ts'
import { checkKey, checkTtl } from './valkey-key.ts'

export interface ValkeyClient {
  /** Handle of the host; its keys and channels have no prefix. */
  readonly host: Valkey
  /**
   * Returns the handle of a plugin. Its keys and channels are under `<id>:`, which no key can leave. An ID holds no
   * colon, so no plugin's prefix begins the prefix of another.
   */
  scoped (id: string): Valkey
  /**
   * Calls `listener` whenever the connection for messages is back after a break. Messages that were published in
   * between are lost, so data that messages keep up to date must be dropped then. Subscriptions are active again before
   * the call. Call the result to remove the listener.
   */
  onReconnect (listener: () => void): () => void
}

/**
 * Stores texts under keys and sends texts to channels. Every method rejects with `ServiceUnavailable` while the server
 * is unavailable.
 */
export interface TextStore {
  get (key: string): Promise<string | undefined>
  set (key: string, text: string, ttlMs: number): Promise<void>
  remove (keys: string[]): Promise<void>
  publish (channel: string, text: string): Promise<void>
  /** `take` must not throw. The result ends the subscription, and may be called again. */
  subscribe (channel: string, take: (text: string) => void): Promise<() => Promise<void>>
}

interface Flight {
  found: Promise<{ text: string }>
  /** Says that the key was invalidated in the meantime, so a value that was read before must not be stored. */
  token: { isOvertaken: boolean }
}

interface ValkeyClientDeps { log: Log, clock: Clock }

const complaintEveryMs = 5_000

/**
 * Limits warnings. All scopes share one instance, so that an outage is not logged once for every plugin and request.
 */
class Complaint {
  readonly #log: Log
  readonly #clock: Clock
  #lastAt = -Infinity

  constructor ({ log, clock }: ValkeyClientDeps) {
    this.#log = log
    this.#clock = clock
  }

  cacheAway (err: unknown): void {
    const now = this.#clock.now()
    if (now - this.#lastAt < complaintEveryMs) return
    this.#lastAt = now
    this.#log.warn({ err }, 'the cache is unavailable; values are loaded without it')
  }
}

export function createValkeyClient (store: TextStore, parts: ValkeyClientDeps): Omit<ValkeyClient, 'onReconnect'> {
  const complaint = new Complaint(parts)
  return {
    host: new PrefixedValkey(store, '', parts.log, complaint),
    scoped: id => {
      if (!/^[a-z0-9-]+$/.test(id)) throw new TypeError(`"${id}" is not a plugin id: use lower case letters, digits and dashes`)
      return new PrefixedValkey(store, `${id}:`, parts.log, complaint)
    }
  }
}

class PrefixedValkey implements Valkey {
  readonly #store: TextStore
  readonly #prefix: string
  readonly #log: Log
  readonly #complaint: Complaint
  /**
   * Lookups and loads that are under way. Each caller that joins one parses the text itself, so that no two callers
   * share a value.
   */
  readonly #flights = new Map<string, Flight>()

  constructor (store: TextStore, prefix: string, log: Log, complaint: Complaint) {
    this.#store = store
    this.#prefix = prefix
    this.#log = log
    this.#complaint = complaint
  }

  async get<S extends z.ZodType> (key: string, schema: S): Promise<z.output<S> | undefined> {
    checkKey('key', key)
    return read(await this.#store.get(this.#prefix + key), schema)
  }

  async set (key: string, value: unknown, { ttlMs }: { ttlMs: number }): Promise<void> {
    checkKey('key', key)
    checkTtl(key, ttlMs)
    await this.#store.set(this.#prefix + key, write(key, value), Math.round(ttlMs))
  }

  async invalidate (...keys: string[]): Promise<void> {
    for (const key of keys) checkKey('key', key)
    if (keys.length === 0) return
    for (const key of keys) {
      const flight = this.#flights.get(key)
      if (flight !== undefined) flight.token.isOvertaken = true
      this.#flights.delete(key)
    }
    await this.#store.remove(keys.map(key => this.#prefix + key))
  }

  async remember<S extends z.ZodType> (
    key: string, schema: S, options: { ttlMs: number | ((value: z.output<S>) => number) }, load: () => Promise<z.output<S>>
  ): Promise<z.output<S>> {
    checkKey('key', key)
    if (typeof options.ttlMs === 'number') checkTtl(key, options.ttlMs)
    const joined = this.#flights.get(key)
    if (joined !== undefined) return schema.parse(JSON.parse((await joined.found).text))

    const token = { isOvertaken: false }
    const found = this.#findOrLoad(key, schema, options.ttlMs, load, token)
    const flight = { token, found }
    this.#flights.set(key, flight)
    try {
      return (await found).value
    } finally {
      if (this.#flights.get(key) === flight) this.#flights.delete(key)
    }
  }

  async #findOrLoad<S extends z.ZodType> (
    key: string, schema: S, ttlMs: number | ((value: z.output<S>) => number), load: () => Promise<z.output<S>>, token: { isOvertaken: boolean }
  ): Promise<{ text: string, value: z.output<S> }> {
    let isAway = false
    try {
      const text = await this.#store.get(this.#prefix + key)
      const value = read(text, schema)
      if (text !== undefined && value !== undefined) return { text, value }
    } catch (error) {
      isAway = this.#expectAway(error)
    }

    const loaded = await load()
    const text = write(key, loaded)
    const checked = schema.safeParse(JSON.parse(text))
    if (!checked.success) {
      throw new TypeError(`the value loaded for the cache key "${key}" does not fit its schema once it is JSON: ${checked.error.message}`)
    }
    const lifeMs = typeof ttlMs === 'function' ? ttlMs(loaded) : ttlMs
    const result = { text, value: checked.data }
    // A value that has no time left to live is returned, not stored.
    if (isAway || lifeMs <= 0 || token.isOvertaken) return result
    checkTtl(key, lifeMs)
    try {
      await this.#store.set(this.#prefix + key, text, Math.ceil(lifeMs))
    } catch (error) {
      this.#expectAway(error)
    }
    return result
  }

  #expectAway (error: unknown): true {
    if (!(error instanceof ServiceUnavailable)) throw error
    this.#complaint.cacheAway(error)
    return true
  }

  async publish (channel: string, message: unknown): Promise<void> {
    checkKey('channel', channel)
    await this.#store.publish(this.#prefix + channel, write(channel, message))
  }

  async subscribe<S extends z.ZodType> (
    channel: string, schema: S, handler: (message: z.output<S>) => void | Promise<void>
  ): Promise<() => Promise<void>> {
    checkKey('channel', channel)
    return this.#store.subscribe(this.#prefix + channel, text => { void this.#deliver(channel, text, schema, handler) })
  }

  async #deliver<S extends z.ZodType> (
    channel: string, text: string, schema: S, handler: (message: z.output<S>) => void | Promise<void>
  ): Promise<void> {
    try {
      const message = read(text, schema)
      if (message === undefined) this.#log.warn({ channel: this.#prefix + channel }, 'a message does not fit the schema of its subscriber and was dropped')
      else await handler(message)
    } catch (err) {
      this.#log.error({ err, channel: this.#prefix + channel }, 'a subscriber failed on a message')
    }
  }
}

/** Returns undefined when there is no text, when the text is not JSON, or when it does not match the schema. */
function read<S extends z.ZodType> (text: string | undefined, schema: S): z.output<S> | undefined {
  if (text === undefined) return undefined
  let value: unknown
  try { value = JSON.parse(text) } catch { return undefined }
  const result = schema.safeParse(value)
  return result.success ? result.data : undefined
}

function write (name: string, value: unknown): string {
  const text = JSON.stringify(value) as string | undefined
  if (text === undefined) throw new TypeError(`what goes under "${name}" has no JSON form`)
  return text
}
