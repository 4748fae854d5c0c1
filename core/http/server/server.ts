// Opens the API's listening socket with its limits and its request timeout, and closes it without losing a request.

import { createServer } from 'node:http'
import type { RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { pause } from '../../concurrency/loop.ts'
import { ServiceUnavailable } from '../../contract/index.ts'
import type { Clock, Log } from '../../contract/index.ts'
import type { Fail } from '../answer/failure.ts'
import type { Traffic } from '../exchange.ts'
import type { ConnectionLimit } from './connection-limit.ts'
import { IncomingRequest } from './incoming-request.ts'
import { createUnreadableRequestListener } from './unreadable-request.ts'

export interface Listening {
  readonly address: { host: string, port: number }
  readonly url: string
  /**
   * Keeps answering for `keepListeningMs`, and asks clients to close their connections. Then it accepts nothing new and
   * waits for the requests under way, until `signal` aborts. At the end it closes every connection.
   */
  drain (options: { keepListeningMs: number, signal: AbortSignal }): Promise<DrainReport>
  /** Closes every connection at once. */
  close (): Promise<void>
}

export interface DrainReport {
  /** Requests that ended during the drain. */
  readonly answered: number
  /** Requests that were still under way when the time was up, and were cut off. */
  readonly cutOff: number
  readonly tookMs: number
}

export interface ServerSettings {
  /** Longest time from the arrival of a request's head to the beginning of its answer. */
  requestTimeoutMs: number
  /** Longest time for a request's head to arrive. 5 s by default. */
  headersTimeoutMs?: number
  /**
   * Most connections open at a time. At the limit an idle connection is closed for a new one; when none is idle, the
   * new one is closed. 10,000 by default.
   */
  maxConnections?: number
}

export interface ServerParts {
  listener: RequestListener
  traffic: Traffic
  connections: ConnectionLimit
  settings: ServerSettings
  clock: Clock
  log: Log
  fail: Fail
}

export class CannotListen extends Error {
  readonly code = 'BULKHEAD_CANNOT_LISTEN'
  constructor (message: string, options: ErrorOptions) {
    super(message, options)
    this.name = 'CannotListen'
  }
}

const causes: Record<string, string> = {
  EADDRINUSE: 'another process listens there; stop it, or name another port',
  EADDRNOTAVAIL: 'this machine has no such address; name one it has, or 0.0.0.0 for all',
  EACCES: 'this user may not listen there; name a port above 1023',
  ENOTFOUND: 'there is no such host name; name an address of this machine',
  ERR_SOCKET_BAD_PORT: 'there is no such port; name one from 0 to 65535'
}

const maxHeadBytes = 16_384

/**
 * Turns of the event loop without a new request before all is read: accepting a connection takes one, reading its
 * request another.
 */
const quietTurns = 3
const turnsMax = 100

/**
 * Waits until no new request begins. On a busy machine the process may get no time for a while; connections and
 * requests are then still unread when its timer fires. Closing now would reset them.
 */
async function untilAllIsRead (traffic: Traffic): Promise<void> {
  const countBegun = (): number => traffic.ended + traffic.underWay.size
  let begun = countBegun()
  for (let turn = 0, quiet = 0; turn < turnsMax && quiet < quietTurns; turn++) {
    await nextTurn()
    quiet = countBegun() === begun ? quiet + 1 : 0
    begun = countBegun()
  }
}

export async function openServer ({ host, port }: { host: string, port: number }, parts: ServerParts): Promise<Listening> {
  const { listener, traffic, connections, settings, clock, log, fail } = parts
  const headersTimeout = settings.headersTimeoutMs ?? 5_000
  const server = createServer({
    IncomingMessage: IncomingRequest,
    headersTimeout,
    requestTimeout: Math.max(settings.requestTimeoutMs, headersTimeout),
    connectionsCheckingInterval: Math.min(2_000, headersTimeout / 2),
    // Common load balancers drop an idle connection after 60 s. The host waits longer, so that it never closes one on
    // which a request is arriving.
    keepAliveTimeout: 65_000,
    maxHeaderSize: maxHeadBytes
  }, listener)
  // Without these listeners Node would answer both by itself, before the host has decided whether it accepts the
  // request.
  server.on('checkContinue', listener)
  server.on('checkExpectation', listener)
  server.on('clientError', createUnreadableRequestListener({ traffic, connections, fail, maxHeadBytes }))
  connections.watch(server)

  await new Promise<void>((resolve, reject) => {
    const refuse = (cause: NodeJS.ErrnoException): void =>
      reject(new CannotListen(`Cannot listen on ${host}:${port} (PLATFORM_LISTEN): ${causes[cause.code ?? ''] ?? cause.message}.`, { cause }))
    server.once('error', refuse)
    try {
      server.listen({ host, port }, () => { server.off('error', refuse); resolve() })
    } catch (error) { refuse(error as NodeJS.ErrnoException) }
  })
  server.on('error', err => log.error({ err }, 'the server had an error'))

  // One timer checks the oldest requests, instead of one timer for each request.
  const sweep = setInterval(() => {
    const latest = clock.now() - settings.requestTimeoutMs
    for (const exchange of traffic.underWay) {
      if (exchange.startedAtMs > latest) break
      // An answer that has begun may take as long as it needs.
      if (exchange.isAbandoned || exchange.res.headersSent) continue
      fail(exchange, new ServiceUnavailable(`The request took longer than ${settings.requestTimeoutMs} ms.`))
    }
  }, Math.min(1_000, settings.requestTimeoutMs / 4)).unref()

  let closed: Promise<void> | undefined
  /** Accepts no new connections; resolves once the last connection has ended. */
  const stopListening = (): Promise<void> => closed ??= new Promise(resolve => {
    server.close(() => { clearInterval(sweep); resolve() })
  })
  const close = async (): Promise<void> => {
    const ended = stopListening()
    server.closeAllConnections()
    await ended
  }

  const at = server.address() as AddressInfo
  return {
    address: { host: at.address, port: at.port },
    url: `http://${at.family === 'IPv6' ? `[${at.address}]` : at.address}:${at.port}`,
    async drain ({ keepListeningMs, signal }) {
      const startedAtMs = clock.now()
      const ended = traffic.ended
      traffic.closeConnections()
      // When the signal aborts, no time is left to keep listening.
      await pause(clock, keepListeningMs, signal)
      await untilAllIsRead(traffic)
      void stopListening()
      await traffic.untilQuiet(signal)
      const report = { answered: traffic.ended - ended, cutOff: traffic.underWay.size }
      await close()
      return { ...report, tookMs: clock.now() - startedAtMs }
    },
    close
  }
}
