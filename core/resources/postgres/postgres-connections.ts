// The connections to one server as wires: whether anything comes in on one of them, their common end, and one beside the pool to ask by.

import { createClient, endClient, streamOf } from './postgres-client.ts'
import type { Client, ClientSettings } from './postgres-client.ts'

/** Costs a query nothing: what has come in is counted by the sockets, and looked at only when somebody wants to know. */
export class OpenConnections {
  /** With the bytes that had come in at the last look. */
  readonly #open = new Map<Client, number>()
  #hasHeardFromEnded = false

  /** Not connected yet, so that an attempt to connect can be ended too. */
  add (client: Client): void {
    this.#open.set(client, 0)
    client.once('end', () => {
      if (streamOf(client).bytesRead !== this.#open.get(client)) this.#hasHeardFromEnded = true
      this.#open.delete(client)
    })
  }

  /** Whether anything has come in since the last call. */
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

  /** Without a word: the server is not there to hear it. */
  destroy (): void {
    for (const client of this.#open.keys()) streamOf(client).destroy()
  }
}

const endWithinMs = 1_000

/** The shortest of questions, on a connection of its own, so that it never waits behind requests. One at a time. */
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
    // Lost while nothing was asked: the next question connects anew.
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
