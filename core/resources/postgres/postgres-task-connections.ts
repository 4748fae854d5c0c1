// Connects the task queue, which has a pool of its own: its connections have the host's session options, and leave a
// server that takes no writes.

import { backOff } from '../../concurrency/back-off.ts'
import { createLoop } from '../../concurrency/loop.ts'
import type { Clock, Log } from '../../contract/index.ts'
import { Client, endClient } from './postgres-client.ts'
import type { ClientSettings } from './postgres-client.ts'
import { OpenConnections } from './postgres-connections.ts'

export interface TaskConnections {
  /** The class that pg's pool connects with. */
  readonly Client: new () => Client
  /**
   * Resolves once the first connection listens. It is replaced when it is lost, and `onNotification` is called without
   * a payload then: a notification may have been missed.
   */
  listen (channel: string, onNotification: (payload?: string) => void): Promise<{ close (): Promise<void> }>
}

const callTimeoutMs = 10_000
// The server's timeout ends first, so that the connection survives.
const answerGraceMs = 1_000
const heartbeatMs = 10_000
const endWithinMs = 1_000
const reconnect = { firstMs: 250, maxMs: 8_000 }

/** Without `connections`, the task queue looks after its connections alone. */
export function createTaskConnections (
  url: string, { log, clock }: { readonly log: Log, readonly clock: Clock }, connections = new OpenConnections()
): TaskConnections {
  const settings: ClientSettings = {
    url, applicationName: 'bulkhead tasks', connectTimeoutMs: callTimeoutMs, statementTimeoutMs: callTimeoutMs, queryTimeoutMs: callTimeoutMs + answerGraceMs
  }
  return {
    Client: class extends Client {
      constructor () {
        super(settings)
        connections.add(this)
      }
    },
    listen: async (channel, onNotification) => {
      let client: Client
      let isLost = false
      let failures = 0
      const open = async (): Promise<void> => {
        const next = new Client(settings)
        connections.add(next)
        next.on('notification', ({ payload }) => onNotification(payload))
        await next.connect()
        await next.query(`LISTEN "${channel}"`)
        client = next
        isLost = false
        failures = 0
        next.once('end', () => {
          isLost = true
          loop.wake()
        })
      }
      const loop = createLoop({
        clock,
        pauseMs: () => isLost ? backOff(failures, reconnect) : heartbeatMs,
        step: async () => {
          // A connection that does not answer any more is lost without a word.
          if (!isLost) {
            await client.query('SELECT').catch(() => client.destroy())
            return
          }
          try {
            await open()
            onNotification()
          } catch (err) {
            failures++
            log.warn({ err }, 'the connection that reports new tasks is lost; until it is back, tasks start up to a few seconds late')
          }
        }
      })
      await open()
      loop.begin()
      return {
        close: async () => {
          await loop.end()
          await endClient(client, endWithinMs)
        }
      }
    }
  }
}
