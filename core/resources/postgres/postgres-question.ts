// Asks the database whether it is well, on a connection outside the pool, so that the answer never waits behind requests.

import { Client, endClient, isOutOfPlaces, isReadOnly, readOnlyCode } from './postgres-client.ts'
import type { ClientSettings } from './postgres-client.ts'
import { ConnectionRetired, type OpenConnections } from './postgres-connections.ts'

const endWithinMs = 1_000

/** Only one query runs at a time. */
export class Question {
  readonly #settings: ClientSettings
  readonly #connections: OpenConnections
  #client: Client | undefined

  constructor (settings: ClientSettings, connections: OpenConnections) {
    this.#settings = settings
    this.#connections = connections
  }

  /** Rejects when the server does not answer, or takes no writes. */
  async ask (signal: AbortSignal): Promise<void> {
    if (this.#connections.hasMetReadOnly()) this.#replaceAll()
    const kept = this.#client
    try {
      await this.#askWritable(signal)
    } catch (error) {
      // A server that refuses a further connection is there, and the open connections go on.
      if (isOutOfPlaces(error)) return
      const isReplaced = error instanceof ConnectionRetired
      if (!isReadOnly(error) && !isReplaced) throw error
      this.#replaceAll()
      if (kept === undefined && !isReplaced) throw error
      // After a failover, a new connection leads to the server that takes writes now.
      await this.#askWritable(signal)
    }
  }

  /** Replaces the connections of all, its own included: a query on a replaced connection would be refused. */
  #replaceAll (): void {
    this.#connections.retire()
    this.#client = undefined
  }

  async #askWritable (signal: AbortSignal): Promise<void> {
    const { rows } = await this.run<{ transaction_read_only: string }>('SHOW transaction_read_only', signal)
    if (rows[0]?.transaction_read_only === 'on') throw new ServerIsReadOnly()
  }

  /** Sends one query; the connection stays for the next one. */
  async run<Row extends object> (text: string, signal: AbortSignal): Promise<{ rows: Row[], client: Client }> {
    signal.throwIfAborted()
    const kept = this.#client
    const client = this.#client ??= this.#create()
    const giveUp = (): void => { this.#forget(client); client.destroy() }
    signal.addEventListener('abort', giveUp)
    try {
      if (kept === undefined) await client.connect()
      const { rows } = await client.query<Row>(text)
      return { rows, client }
    } catch (error) {
      giveUp()
      throw error
    } finally {
      signal.removeEventListener('abort', giveUp)
    }
  }

  #create (): Client {
    const client = new Client(this.#settings)
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

class ServerIsReadOnly extends Error {
  readonly code = readOnlyCode
  override readonly name = 'ServerIsReadOnly'

  constructor () {
    super('it takes no writes (transaction_read_only is on). Wait for a failover to end, or make the server writable again')
  }
}
