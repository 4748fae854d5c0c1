// Serves the plugins' routes over HTTP: koa behind one dispatcher, one set of mounts for each plugin, one place for
// errors.

import type { RequestListener } from 'node:http'
import { ServiceUnavailable, TooManyRequests, type Clock, type Log } from '../contract/index.ts'
import { createAnswering } from './answer/answer.ts'
import { createFailure } from './answer/failure.ts'
import { createRefusalNoter } from './answer/refusal-audit.ts'
import type { NoteRefused } from './answer/refusal-audit.ts'
import { createRefusedValueLog } from './answer/refused-value.ts'
import { createRepeatedFailures } from './answer/repeated-failure.ts'
import { createSecurityHeaders } from './answer/browser-headers.ts'
import { createApplication } from './application.ts'
import { createBodyMemory } from './body/body-share.ts'
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
  /** Number of trusted proxies in front that append to `X-Forwarded-For`. 0 means none. */
  trustProxyHops: number
  secureCookies: boolean
  /** Origins whose pages may read answers, such as `https://app.example.org`. */
  corsOrigins: readonly string[]
  /** Most requests that one user may have under way at a time. 64 by default. */
  requestsPerUserMax?: number
  /** Longest wait for the requests under way when a plugin's routes are removed. 10 s by default. */
  drainMs?: number
}

export interface Http extends Omit<MountTable, 'find' | 'mount'> {
  /**
   * Serves the plugin's routes from now on, and replaces those that it had mounted before. The result removes the
   * routes. It resolves once the requests to these routes are answered; requests that take longer than the drain are
   * refused.
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

/** Most requests under way on one connection. With more, one connection would use as much as that many connections. */
const pipelinedMax = 64

export function createHttp ({ log, clock, authenticate, permissionsIn, noteRefused, runForUser = (_id, work) => work(), settings }: HttpParts): Http {
  const { bodyLimitBytes, trustProxyHops, secureCookies, corsOrigins } = settings
  const originRules = { origins: new Set(corsOrigins), trustProxyHops, secureCookies }
  const connections = createConnectionLimit({ max: settings.maxConnections ?? 10_000, port: 'the API', log })
  const lines = createLineBudget(log)
  const traffic = createTraffic({ clock, log, connections, bodyMemory: createBodyMemory(bodyLimitBytes) })
  const { setOwnHeaders, sendProblem, ...answering } = createAnswering(createSecurityHeaders({ isSecure: secureCookies }))
  const fail = createFailure({
    log, lines, sendProblem, repeated: createRepeatedFailures(log),
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
