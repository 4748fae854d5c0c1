// Describes one request from its arrival to the end of its answer, and keeps the set of requests under way.

import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { LazySignal } from '../concurrency/lazy-signal.ts'
import type { Clock, Log, User } from '../contract/index.ts'
import type { BodyMemory } from './body/body-share.ts'
import { healthPath, pathOf } from './request/request-target.ts'
import type { Plugin } from './route/mount-table.ts'
import type { Route } from './route/prepared-route.ts'
import type { ConnectionLimit } from './server/connection-limit.ts'

const acceptedRequestId = /^[\w-]{8,64}$/

export class Exchange {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly requestId: string
  readonly startedAtMs: number
  /** Counts the memory that bodies use while they arrive. */
  readonly bodyMemory: BodyMemory
  /** `plugin` and `route` are set once the path has matched. Errors are logged with them. */
  plugin: Plugin | undefined
  route: Route | undefined
  /** User of the token, and below it the project that the request names. Refusals are recorded with both. */
  caller: User | undefined
  projectId: string | undefined
  /** True once the guard has admitted the request. */
  isAdmitted = false
  /** The client sent `Expect` and waits for an interim answer before it sends the body; it has not got one yet. */
  isBodyHeldBack = false
  /** The body, once the guard or the input has begun to read it. */
  body: Promise<unknown> | undefined
  /** The handler set `ctx.respond = false`: it answers by itself. */
  isTakenOver = false
  readonly #abandoned = new LazySignal()
  readonly #ending = new LazySignal()
  #log: Log | undefined

  constructor (req: IncomingMessage, res: ServerResponse, requestId: string, startedAtMs: number, bodyMemory: BodyMemory) {
    this.req = req
    this.res = res
    this.requestId = requestId
    this.startedAtMs = startedAtMs
    this.bodyMemory = bodyMemory
  }

  /**
   * True when the host no longer waits for the handler: the request has failed, the client has disconnected or the time
   * was up.
   */
  get isAbandoned (): boolean { return this.#abandoned.reason !== undefined }

  get signal (): AbortSignal { return this.#abandoned.signal }

  abandon (reason: Error): void { this.#abandoned.abort(reason) }

  get ending (): AbortSignal { return this.#ending.signal }

  /** Asks an answer without an end of its own, such as a stream of events, to end. */
  end (reason: Error): void { this.#ending.abort(reason) }

  /** Name in the log: the route, or else the plugin. */
  get place (): string { return this.route?.label ?? this.plugin?.id ?? 'no route' }

  logOf (base: Log): Log {
    return this.#log ??= (this.plugin?.log ?? base).child({ requestId: this.requestId, route: this.route?.label })
  }
}

export interface Traffic {
  readonly underWay: ReadonlySet<Exchange>
  /** Number of requests that have ended so far. */
  readonly ended: number
  open (req: IncomingMessage, res: ServerResponse): Exchange
  /**
   * From now on every answer, those under way included, asks its client to close the connection, and is asked to end.
   */
  closeConnections (): void
  /**
   * Asks the answers to requests of this plugin to end. Resolves when none is under way, or when the signal aborts,
   * with the requests that still are under way.
   */
  untilAnswered (plugin: Plugin, signal: AbortSignal): Promise<readonly Exchange[]>
  /** Resolves when nothing is under way, or when the signal aborts. */
  untilQuiet (signal: AbortSignal): Promise<void>
}

/**
 * Most characters of a path without a route in a log line. A path may be as long as all headers together; its beginning
 * is enough to identify the request.
 */
const pathLengthMax = 300
const shorten = (path: string): string => path.length <= pathLengthMax ? path : `${path.slice(0, pathLengthMax)}…`

export interface TrafficDeps {
  clock: Clock
  log: Log
  connections: Pick<ConnectionLimit, 'begin' | 'end'>
  bodyMemory: BodyMemory
}

export function createTraffic ({ clock, log, connections, bodyMemory }: TrafficDeps): Traffic {
  // The first part of a request id is unique among replicas, the second within this one. This is cheaper than a UUID
  // for each request.
  const replica = randomBytes(6).toString('hex')
  let opened = 0
  let ended = 0
  let closing = false
  let onQuiet: (() => void) | undefined
  // The set is in order of arrival, so a search for old requests may stop at the first young one.
  const underWay = new Set<Exchange>()
  /** Called at the end of every exchange. There is one listener for each pending `untilAnswered`. */
  const endListeners = new Set<(exchange: Exchange) => void>()

  const end = (exchange: Exchange): void => {
    const { req, res, requestId } = exchange
    underWay.delete(exchange)
    connections.end(req.socket)
    ended++
    if (!res.writableFinished) exchange.abandon(new Error('the client has gone'))
    const { route, plugin, caller, startedAtMs } = exchange
    const path = route === undefined ? shorten(pathOf(req.url ?? '')) : undefined
    // The query is left out, because it may hold what a person searched for, or a secret.
    const facts = {
      requestId, method: req.method, ...path === undefined ? { route: route?.path } : { path }, status: res.statusCode,
      ms: Math.round(clock.now() - startedAtMs), user: caller?.id, plugin: plugin?.id, ...!res.writableFinished && { isCutOff: true }
    }
    if (path === healthPath) log.debug(facts, 'answered')
    else log.info(facts, 'answered')
    for (const listener of endListeners) listener(exchange)
    if (underWay.size === 0) onQuiet?.()
  }

  const close = (exchange: Exchange): void => {
    exchange.res.shouldKeepAlive = false
    exchange.end(new Error('the host is stopping'))
  }

  return {
    underWay,
    get ended () { return ended },
    open (req, res) {
      const sent = req.headers['x-request-id']
      const requestId = typeof sent === 'string' && acceptedRequestId.test(sent) ? sent : `${replica}-${(++opened).toString(36)}`
      const exchange = new Exchange(req, res, requestId, clock.now(), bodyMemory)
      underWay.add(exchange)
      connections.begin(req.socket)
      res.on('close', () => end(exchange))
      if (closing) close(exchange)
      return exchange
    },
    closeConnections () {
      closing = true
      for (const exchange of underWay) close(exchange)
    },
    untilAnswered (plugin, signal) {
      const left = new Set([...underWay].filter(exchange => exchange.plugin === plugin))
      for (const exchange of left) exchange.end(new Error('the plugin is being replaced or is to end'))
      return new Promise(resolve => {
        const done = (): void => {
          endListeners.delete(listener)
          signal.removeEventListener('abort', done)
          resolve([...left])
        }
        const listener = (exchange: Exchange): void => { if (left.delete(exchange) && left.size === 0) done() }
        if (left.size === 0 || signal.aborted) { done(); return }
        endListeners.add(listener)
        signal.addEventListener('abort', done, { once: true })
      })
    },
    untilQuiet (signal) {
      return new Promise(resolve => {
        if (underWay.size === 0 || signal.aborted) { resolve(); return }
        const done = (): void => { signal.removeEventListener('abort', done); resolve() }
        signal.addEventListener('abort', done, { once: true })
        onQuiet = done
      })
    }
  }
}
