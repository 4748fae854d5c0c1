// The HTTP room: koa behind one dispatcher, one mount for each plugin, one place for errors.

import type { RequestListener } from 'node:http'
import { ServiceUnavailable, TooManyRequests, type Clock, type Log } from '../contract/index.ts'
import { createAnswering } from './answer/answer.ts'
import { createFailure } from './answer/failure.ts'
import { createRefusalNoter } from './answer/refusal-audit.ts'
import type { NoteRefused } from './answer/refusal-audit.ts'
import { createRefusedValueLog } from './answer/refused-value.ts'
import { createSecurityHeaders } from './answer/security-headers.ts'
import { createApplication } from './application.ts'
import { createBodyShares } from './body/body-share.ts'
import { respectExpectation } from './body/expectation.ts'
import { boundUnreadBody } from './body/unread-body.ts'
import { composeChain, createDispatcher } from './dispatcher.ts'
import type { Authenticate, RunForUser } from './dispatcher.ts'
import { createTraffic } from './exchange.ts'
import type { PermissionsIn } from './guard.ts'
import { createLineBudget } from './line-budget.ts'
import { createMountTable } from './route/mount-table.ts'
import type { MountTable, Plugin } from './route/mount-table.ts'
import { createConnectionLimit } from './server/connection-limit.ts'
import { openServer } from './server/server.ts'
import type { Listening, ServerSettings } from './server/server.ts'
import { createUserLimit } from './user-limit.ts'

export { findRouteProblems } from './route/route-problem.ts'
export { InvalidRoutes } from './route/mount-table.ts'
export { CannotListen } from './server/server.ts'
export type { HeldPlugin, Plugin } from './route/mount-table.ts'
export type { DrainReport, Listening } from './server/server.ts'
export type { Authenticate } from './dispatcher.ts'
export type { PermissionsIn } from './guard.ts'
export type { NoteRefused } from './answer/refusal-audit.ts'

export interface HttpSettings extends ServerSettings {
  bodyLimitBytes: number
  /** Proxies in front that append to `X-Forwarded-For` and can be trusted; 0: none. */
  trustProxyHops: number
  secureCookies: boolean
  /** Origins whose pages may read answers: `https://app.example.org`. */
  corsOrigins: readonly string[]
  /** Under way at once. 64 by default. */
  requestsPerUserMax?: number
  /** For the requests that a plugin has when it ends. 10 s unless said. */
  drainMs?: number
}

export interface Http extends Omit<MountTable, 'find' | 'mount'> {
  /**
   * Serves the plugin's routes from now on, in the place of what it had mounted before. The result resolves once the requests that these
   * routes were given are answered; those that take longer than the drain are refused.
   */
  mount (plugin: Plugin): () => Promise<void>
  readonly callback: RequestListener
  listen (address: { host: string, port: number }): Promise<Listening>
}

export interface HttpParts {
  log: Log
  clock: Clock
  authenticate: Authenticate
  permissionsIn: PermissionsIn
  noteRefused: NoteRefused
  runForUser?: RunForUser
  settings: HttpSettings
}

/** For the bodies of all unknown callers that arrive at a time; at least a few of the largest that a route may take. */
const sharedBodyBytes = 16 * 1024 * 1024
const largestBodies = 4

/** Of one connection, under way at a time: with more, one connection would take the place of as many. */
const pipelinedMax = 64

export function createHttp ({ log, clock, authenticate, permissionsIn, noteRefused, runForUser = (_id, work) => work(), settings }: HttpParts): Http {
  const { bodyLimitBytes, trustProxyHops, secureCookies, corsOrigins } = settings
  const originRules = { origins: new Set(corsOrigins), trustProxyHops, secureCookies }
  const connections = createConnectionLimit({ max: settings.maxConnections ?? 10_000, port: 'the API', log })
  const lines = createLineBudget(log)
  const traffic = createTraffic({
    clock, log, lines, connections, bodyShares: createBodyShares(Math.max(sharedBodyBytes, largestBodies * bodyLimitBytes))
  })
  const { setOwnHeaders, sendProblem, ...answering } = createAnswering(createSecurityHeaders({ isSecure: secureCookies }))
  const fail = createFailure({
    log, lines, sendProblem,
    noteRefusal: createRefusalNoter(noteRefused, trustProxyHops),
    noteRefusedValue: createRefusedValueLog(log, () => clock.now())
  })
  const application = createApplication({ log, originRules, setOwnHeaders, fail })
  const mounts = createMountTable({ bodyLimitBytes, compose: (middleware, route) => composeChain(application, middleware, route) })
  const userLimit = createUserLimit({ max: settings.requestsPerUserMax ?? 64, requestTimeoutMs: settings.requestTimeoutMs, now: () => clock.now() })
  const dispatch = createDispatcher({
    mounts, application, answering, authenticate, permissionsIn, originRules, userLimit, runForUser
  })

  const callback: RequestListener = (req, res) => {
    const exchange = traffic.open(req, res)
    boundUnreadBody(exchange)
    try {
      if (connections.underWay(req.socket) > pipelinedMax) {
        res.shouldKeepAlive = false
        throw new TooManyRequests(`More than ${pipelinedMax} requests of this connection are under way. Wait for answers.`, { retryAfterMs: 1_000 })
      }
      respectExpectation(exchange)
      dispatch(exchange)?.then(undefined, (thrown: unknown) => fail(exchange, thrown))
    } catch (thrown) {
      fail(exchange, thrown)
    }
  }

  const mount = (plugin: Plugin): (() => Promise<void>) => {
    const remove = mounts.mount(plugin)
    return async () => {
      remove()
      const late = await traffic.untilAnswered(plugin, AbortSignal.timeout(settings.drainMs ?? 10_000))
      for (const exchange of late) fail(exchange, new ServiceUnavailable(`The plugin "${plugin.id}" ended before this request did.`, { retryAfterMs: 1_000 }))
    }
  }

  return {
    ...mounts,
    mount,
    callback,
    listen: address => openServer(address, { listener: callback, traffic, connections, settings, clock, log, fail })
  }
}
