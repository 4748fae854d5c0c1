// Tracks the connections to one server: whether any of them has received data, and how to destroy them all. Adds one
// connection outside the pool for health checks.

import { createClient, endClient, streamOf } from './postgres-client.ts'
import type { Client, ClientSettings } from './postgres-client.ts'

/** Adds no cost to a query: the sockets count the bytes that come in, and the counts are read only on request. */
export class OpenConnections {
  /** Open connections, each with the number of bytes that had come in at the last check. */
  readonly #open = new Map<Client, number>()
  #hasHeardFromEnded = false

  /** Adds a client that is not connected yet, so that an attempt to connect can be ended too. */
  add (client: Client): void {
    this.#open.set(client, 0)
    client.once('end', () => {
      if (streamOf(client).bytesRead !== this.#open.get(client)) this.#hasHeardFromEnded = true
      this.#open.delete(client)
    })
  }

  /** True when any data has come in since the last call. */
  hasHeard (): boolean {
    let hasHeard = this.#hasHeardFromEnded
    this.#hasHeardFromEnded = false
    for (const [client, before] of this.#open) {
      const { bytesRead } = streamOf(client)
      if (bytesRead === before) continue
      hasHeard = true
      this.#open.set(client, bytesRead)
    }
    return hasHeard
  }

  /** Destroys all connections without a goodbye, because the server is not there to receive it. */
  destroy (): void {
    for (const client of this.#open.keys()) streamOf(client).destroy()
  }
}

const endWithinMs = 1_000

/**
 * Sends the shortest possible query on its own connection, so that it never waits behind requests. Only one query runs
 * at a time.
 */
export class Question {
  readonly #settings: ClientSettings
  readonly #connections: OpenConnections
  #client: Client | undefined

  constructor (settings: ClientSettings, connections: OpenConnections) {
    this.#settings = settings
    this.#connections = connections
  }

  async ask (signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const kept = this.#client
    const client = this.#client ??= this.#create()
    const giveUp = (): void => { this.#forget(client); streamOf(client).destroy() }
    signal.addEventListener('abort', giveUp)
    try {
      if (kept === undefined) await client.connect()
      await client.query('SELECT')
    } catch (error) {
      giveUp()
      throw error
    } finally {
      signal.removeEventListener('abort', giveUp)
    }
  }

  #create (): Client {
    const client = createClient(this.#settings)
    this.#connections.add(client)
    // The connection was lost while it was idle: the next query connects again.
    client.on('error', () => this.#forget(client))
    return client
  }

  #forget (client: Client): void {
    if (this.#client === client) this.#client = undefined
  }

  async close (): Promise<void> {
    if (this.#client !== undefined) await endClient(this.#client, endWithinMs)
  }
}
