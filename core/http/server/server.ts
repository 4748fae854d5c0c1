// The listening socket: its limits, the time a request may take, and an end that loses no request.

import { createServer } from 'node:http'
import type { RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
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
  /** Answers on, asking clients to leave, for `keepListeningMs`; then takes nothing new and waits for what is under way, until `signal` aborts. */
  drain (options: { keepListeningMs: number, signal: AbortSignal }): Promise<DrainReport>
  /** Ends every connection at once. */
  close (): Promise<void>
}

export interface DrainReport {
  /** Answered between the call and the end. */
  readonly answered: number
  /** Still under way when the time was up, and cut off. */
  readonly cutOff: number
  readonly tookMs: number
}

export interface ServerSettings {
  /** From the arrival of a request's head to the beginning of its answer. */
  requestTimeoutMs: number
  /** For a request's head to arrive. 5 s unless said. */
  headersTimeoutMs?: number
  /** At a time: for a new one an idle one is closed, and the new one where none is idle. 10,000 by default. */
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

/** A new connection takes one to be accepted, and its request another to be read. */
const quietTurns = 3
const turnsMax = 100

/**
 * A process that had no time for a while, as on a busy machine, still has connections and requests to read when its timer rings: closing now would
 * reset them.
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
    // Longer than the 60 s after which common load balancers drop an idle connection, so that it is never we who drop it under a request.
    keepAliveTimeout: 65_000,
    maxHeaderSize: maxHeadBytes
  }, listener)
  // Node would answer both by itself, before the request is known to be welcome.
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

  // One timer looks through the oldest requests, instead of one timer for each.
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
  /** Takes nothing new; resolves once the last connection has ended. */
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
      // It rejects only when the signal says that the time is up: then there is none left to keep listening.
      await clock.sleep(keepListeningMs, signal).catch(() => undefined)
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
