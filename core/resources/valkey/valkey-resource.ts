// Opens Valkey through iovalkey: one connection for commands and one for messages. No command is queued while the
// server is unavailable.

import { Redis } from 'iovalkey'
import { backOff } from '../../concurrency/back-off.ts'
import { withDeadline } from '../../concurrency/deadline.ts'
import { ServiceUnavailable } from '../../contract/index.ts'
import type { Log } from '../../contract/index.ts'
import type { OpenParts, Resource } from '../../handover/resource.ts'
import { createValkeyClient } from './valkey-client.ts'
import type { TextStore, ValkeyClient } from './valkey-client.ts'
import { Subscribers } from './valkey-subscribers.ts'

export interface ValkeySettings {
  url: string
  /** Time limit for one command; 500–1,000 is a sound value. */
  commandTimeoutMs: number
  /**
   * Time limit for one attempt to connect. An attempt may have begun just before the server is back, so its return may
   * be noticed this time plus one pause later.
   */
  connectTimeoutMs: number
}

/**
 * Interval of the pings on the connection for messages. A dead connection is noticed two command timeouts after the
 * first ping that gets no answer.
 */
const heartbeatMs = 1_000
const reconnectPause = { firstMs: 50, maxMs: 200 }
const goodbyeMs = 50

/**
 * Connects once, and rejects with what to check when that fails. After that it reconnects by itself, within a second of
 * the server's return. While the server is unavailable, every command fails with `ServiceUnavailable`: after
 * `commandTimeoutMs` until the silence is noticed, then at once.
 *
 * Messages are delivered at most once. A message that is published while the connection of a replica is down never
 * reaches that replica: see `onReconnect`.
 */
export async function openValkey (settings: ValkeySettings, { log, clock, signal }: OpenParts): Promise<Resource<ValkeyClient>> {
  const commands = createConnection('bulkhead', settings)
  const news = createConnection('bulkhead-news', settings)
  try {
    await Promise.all([connect(commands, settings, signal), connect(news, settings, signal)])
  } catch (error) {
    await Promise.all([disconnect(commands), disconnect(news)])
    throw error
  }
  reportBreaks(commands, 'commands', log)
  reportBreaks(news, 'news', log)
  const store = new ServerStore(commands, news, log)
  return {
    value: { ...createValkeyClient(store, { log, clock }), onReconnect: listener => store.onReconnect(listener) },
    check: async signal => {
      await withDeadline(settings.commandTimeoutMs, () => Promise.all([commands.ping(), news.ping()]), signal)
        .catch((cause: unknown) => { throw new Error(`Valkey at ${addressOf(settings.url)} does not answer: ${messageOf(cause)}`, { cause }) })
    },
    close: async () => {
      store.close()
      await Promise.all([disconnect(commands), disconnect(news)])
    }
  }
}

class ServerStore implements TextStore {
  readonly #commands: Redis
  readonly #news: Redis
  readonly #subscribers = new Subscribers()
  /**
   * Channels whose subscription was requested from the server, so that a second subscriber waits for the same answer.
   */
  readonly #joined = new Map<string, Promise<unknown>>()
  readonly #reconnectListeners = new Set<() => void>()
  readonly #heartbeat: NodeJS.Timeout
  readonly #log: Log

  constructor (commands: Redis, news: Redis, log: Log) {
    this.#commands = commands
    this.#news = news
    this.#log = log
    news.on('message', (channel: string, text: string) => this.#subscribers.round(channel)(text))
    news.on('ready', () => { void this.#rejoin() })
    this.#heartbeat = setInterval(() => {
      // A missing answer ends the connection (socketTimeout), which then reconnects, so nothing is left to do here.
      if (news.status === 'ready') news.ping().catch(() => undefined)
    }, heartbeatMs).unref()
  }

  async get (key: string): Promise<string | undefined> {
    return await this.#commands.get(key).catch(refuse) ?? undefined
  }

  async set (key: string, text: string, ttlMs: number): Promise<void> {
    await this.#commands.set(key, text, 'PX', ttlMs).catch(refuse)
  }

  async remove (keys: string[]): Promise<void> {
    await this.#commands.unlink(...keys).catch(refuse)
  }

  async publish (channel: string, text: string): Promise<void> {
    await this.#commands.publish(channel, text).catch(refuse)
  }

  async subscribe (channel: string, take: (text: string) => void): Promise<() => Promise<void>> {
    const { isFirst, leave: leaveLocally } = this.#subscribers.join(channel, take)
    if (isFirst) this.#joined.set(channel, this.#news.subscribe(channel))
    const leave = async (): Promise<void> => {
      if (!leaveLocally().isLast) return
      this.#joined.delete(channel)
      // An unavailable server has forgotten the subscription already, and the next connection does not request it.
      if (this.#news.status === 'ready') await this.#news.unsubscribe(channel).catch(() => undefined)
    }
    try {
      await this.#joined.get(channel)
    } catch (error) {
      await leave()
      return refuse(error)
    }
    return leave
  }

  onReconnect (listener: () => void): () => void {
    const own = (): void => listener()
    this.#reconnectListeners.add(own)
    return () => { this.#reconnectListeners.delete(own) }
  }

  /**
   * Subscribes first and then calls the listeners: a cache that is dropped before messages arrive again could be filled
   * with stale data.
   */
  async #rejoin (): Promise<void> {
    const channels = this.#subscribers.channels()
    try {
      if (channels.length > 0) await this.#news.subscribe(...channels)
    } catch (err) {
      this.#log.warn({ err }, 'the channels of Valkey could not be subscribed to again; the host retries with a new connection')
      this.#news.disconnect(true)
      return
    }
    for (const listener of this.#reconnectListeners) {
      try { listener() } catch (err) { this.#log.error({ err }, 'a listener for the return of Valkey failed') }
    }
  }

  close (): void {
    clearInterval(this.#heartbeat)
    this.#news.removeAllListeners('ready')
    this.#subscribers.clear()
  }
}

function createConnection (name: string, { url, commandTimeoutMs, connectTimeoutMs }: ValkeySettings): Redis {
  return new Redis(url, {
    lazyConnect: true,
    connectionName: name,
    connectTimeout: connectTimeoutMs,
    commandTimeout: commandTimeoutMs,
    socketTimeout: commandTimeoutMs * 2,
    disconnectTimeout: goodbyeMs,
    keepAlive: 10_000,
    retryStrategy: attempt => backOff(attempt, reconnectPause),
    // A command is sent once or fails. A repeated command could take effect twice, and a queued one would arrive when
    // no caller waits any more.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    autoResubscribe: false,
    // After a failover the old primary, which is now a replica, refuses writes: the name must be resolved again.
    reconnectOnError: error => error.message.startsWith('READONLY'),
    // Both address families are tried at once, as Node does. The client's own way spends every other attempt on the
    // wrong family.
    family: 0,
    familyFallback: { enabled: false }
  })
}

async function connect (connection: Redis, { url, connectTimeoutMs }: ValkeySettings, signal: AbortSignal): Promise<void> {
  // `connect` itself only reports that the connection was closed; the reason arrives as an event.
  let reason: unknown
  const listen = (error: unknown): void => { reason ??= error }
  connection.on('error', listen)
  try {
    await withDeadline(connectTimeoutMs, () => connection.connect(), signal)
    if (reason !== undefined) throw new Error('the server refused the connection\'s setup')
  } catch (error) {
    signal.throwIfAborted()
    const cause = reason ?? error
    const message = messageOf(cause)
    throw new Error(/NOAUTH|WRONGPASS|invalid password|invalid username/i.test(message)
      ? `Valkey at ${addressOf(url)} refused the user name or the password. Check them in VALKEY_URL (redis://user:password@host:port).`
      : `Valkey at ${addressOf(url)} cannot be used: ${message}. Check VALKEY_URL, and that the server runs and can be reached from here.`, { cause })
  } finally {
    connection.off('error', listen)
    // Without any listener the client writes to the console. Later errors are logged as a break of the connection.
    connection.on('error', () => undefined)
  }
}

function reportBreaks (connection: Redis, name: string, log: Log): void {
  let isBroken = false
  connection.on('close', () => {
    if (!isBroken) log.warn({ connection: name }, 'the connection to Valkey broke; reconnecting')
    isBroken = true
  })
  connection.on('ready', () => {
    if (isBroken) log.info({ connection: name }, 'the connection to Valkey is back')
    isBroken = false
  })
}

async function disconnect (connection: Redis): Promise<void> {
  connection.removeAllListeners('close')
  const hasSocket = ['connecting', 'connect', 'ready'].includes(connection.status)
  const ended = hasSocket ? new Promise(resolve => connection.once('end', resolve)) : undefined
  connection.disconnect()
  await ended
}

/** The error keeps its cause for the log; the caller learns only that the cache is unavailable. */
function refuse (cause: unknown): never {
  throw new ServiceUnavailable('The cache is unavailable.', { cause })
}

/** Returns the host of the URL, without the user name and the password. */
function addressOf (url: string): string {
  return URL.canParse(url) ? new URL(url).host : 'the address in VALKEY_URL'
}

function messageOf (error: unknown): string {
  return error instanceof Error && error.message !== '' ? error.message : (error as NodeJS.ErrnoException | undefined)?.code ?? String(error)
}
