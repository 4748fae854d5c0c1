// Tracks the connections to the database: whether any of them has received data, how to destroy them all, and how to
// replace them when the server takes no writes any more.

import { streamOf } from './postgres-client.ts'
import type { Client } from './postgres-client.ts'

/** Ends a connection that has been replaced: at once while it is idle, otherwise when its work is done. */
type Retire = () => void

/** The error of a connection that this process ended because its server takes no writes any more. */
export class ConnectionRetired extends Error {
  readonly code = 'BULKHEAD_CONNECTION_RETIRED'
  override readonly name = 'ConnectionRetired'

  constructor () {
    super('The connection was replaced, because its server takes no writes any more.')
  }
}

/** Adds no cost to a query: the sockets count the bytes that come in, and the counts are read only on request. */
export class OpenConnections {
  /** Open connections, each with the number of bytes that had come in at the last check. */
  readonly #open = new Map<Client, number>()
  readonly #retire = new Map<Client, Retire>()
  #hasHeardFromEnded = false
  #hasMetReadOnly = false

  /** Adds a client that is not connected yet, so that an attempt to connect can be ended too. */
  add (client: Client, retire: Retire = () => endWhenIdle(client)): void {
    this.#open.set(client, 0)
    this.#retire.set(client, retire)
    client.onReadOnly = () => {
      this.#hasMetReadOnly = true
      retire()
    }
    client.once('end', () => {
      if (streamOf(client).bytesRead !== this.#open.get(client)) this.#hasHeardFromEnded = true
      this.#open.delete(client)
      this.#retire.delete(client)
    })
  }

  /** True when a write was refused because the server takes none, since the last call. */
  hasMetReadOnly (): boolean {
    const has = this.#hasMetReadOnly
    this.#hasMetReadOnly = false
    return has
  }

  /** Replaces every connection: after a failover, some may still lead to the demoted server. */
  retire (): void {
    for (const retire of this.#retire.values()) retire()
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
    for (const client of this.#open.keys()) client.destroy()
  }
}

function endWhenIdle (client: Client): void {
  const end = (): void => { if (client.getTransactionStatus() === 'I') client.destroy(new ConnectionRetired()) }
  if ((client as unknown as { _activeQuery: unknown })._activeQuery === null) end()
  client.on('drain', end)
}
