// Takes every request through the same steps: host, path, route, caller, guard, input, handler, answer. A step returns
// a promise only when it has to wait, so a request that waits for nothing is answered in the same turn of the event
// loop.

import type { IncomingMessage } from 'node:http'
import { BadRequest, MethodNotAllowed, NotFound, Unauthorized } from '../contract/index.ts'
import type { RequestContext, User } from '../contract/index.ts'
import type { Answering } from './answer/answer.ts'
import { allowMethods, allowOrigin } from './answer/browser-headers.ts'
import { discard, findJson, isPromise, settle } from './answer/result.ts'
import type { Application, Middleware } from './application.ts'
import type { Exchange } from './exchange.ts'
import { createGuard } from './guard.ts'
import type { PermissionsIn } from './guard.ts'
import { findShown, hideCredentials } from './request/credential.ts'
import { protocolOf } from './request/forwarded.ts'
import type { Input } from './request/input.ts'
import type { OriginRules } from './request/request-origin.ts'
import { checkTarget, healthPath, pathOf } from './request/request-target.ts'
import { noteStaleCookie } from './request/session-cookie.ts'
import type { MountTable } from './route/mount-table.ts'
import type { Route } from './route/prepared-route.ts'
import type { UserLimit } from './user-limit.ts'

type Wait = PromiseLike<void> | undefined

/**
 * Finds the user of a token; undefined when the token belongs to no user. The dispatcher waits only for a promise, so a
 * cached user costs no turn of the event loop.
 */
export type Authenticate = (token: string) => User | undefined | Promise<User | undefined>

/** Runs the work of a request on behalf of its user, so that the resources it uses can be counted for that user. */
export type RunForUser = <Result>(userId: string, work: () => Result) => Result

export interface DispatcherParts {
  mounts: MountTable
  application: Application
  answering: Pick<Answering, 'sendJson' | 'sendEmpty'>
  authenticate: Authenticate
  permissionsIn: PermissionsIn
  originRules: OriginRules
  userLimit: UserLimit
  runForUser: RunForUser
}

/** Answers a request. Throws, or rejects with, the error that the answer is made from. */
export type Dispatch = (exchange: Exchange) => Wait

export function createDispatcher (parts: DispatcherParts): Dispatch {
  const { mounts, application, answering: { sendJson, sendEmpty }, authenticate, permissionsIn, originRules } = parts
  const { userLimit, runForUser } = parts
  const { origins, trustProxyHops, secureCookies } = originRules
  const guard = createGuard({ permissionsIn, originRules })

  const dispatch: Dispatch = exchange => {
    const { req } = exchange
    if (origins.size > 0) allowOrigin(exchange, origins)
    if (hasTwoHosts(req)) throw new BadRequest('The request names two hosts.')
    checkTarget(req.url ?? '')
    const path = pathOf(req.url ?? '')
    if (path === healthPath) return answerHealth(exchange)

    // The path is compared as it was sent, without decoding and without folding case or slashes. Each path therefore
    // has one spelling.
    if (!path.startsWith('/api/')) throw new NotFound('There is nothing here.')
    const slash = path.indexOf('/', 5)
    const mounted = mounts.find(slash === -1 ? path.slice(5) : path.slice(5, slash))
    const rest = slash === -1 ? '/' : path.slice(slash)
    if (mounted === undefined || (rest === '/' && slash !== -1)) throw new NotFound('There is nothing here.')
    exchange.plugin = mounted.plugin

    const match = mounted.matcher.match(rest, req.method ?? '')
    if (match === undefined) throw new NotFound('There is nothing here.')
    const { route, params } = match
    if (route === undefined) return answerOtherMethod(exchange, match.allow)
    exchange.route = route
    return identify(exchange, route, params)
  }

  const identify = (exchange: Exchange, route: Route, params: Record<string, string>): Wait => {
    const { token, other, ambiguous, isStale = false } = findShown(exchange.req, secureCookies || protocolOf(exchange.req, trustProxyHops) === 'https')
    if (ambiguous !== undefined && route.record.options.public === undefined) {
      throw new Unauthorized(`The request has two different cookies named "${ambiguous}", and one of them is not this site's. Delete the cookies of this site, and sign in again.`)
    }
    if (isStale) noteStaleCookie(exchange, () => other === undefined ? undefined : authenticate(other))
    const user = token === undefined ? undefined : authenticate(token)
    return isPromise(user)
      ? user.then(found => admit(exchange, route, params, found))
      : admit(exchange, route, params, user)
  }

  const admit = (exchange: Exchange, route: Route, params: Record<string, string>, caller: User | undefined): Wait => {
    exchange.caller = caller
    return caller === undefined ? check(exchange, route, params, caller) : admitUser(exchange, route, params, caller)
  }

  const admitUser = (exchange: Exchange, route: Route, params: Record<string, string>, caller: User): Wait => {
    const end = userLimit.begin(exchange, caller.id)
    try {
      const waits = runForUser(caller.id, () => check(exchange, route, params, caller))
      if (waits === undefined) end()
      else waits.then(end, end)
      return waits
    } catch (error) {
      end()
      throw error
    }
  }

  const check = (exchange: Exchange, route: Route, params: Record<string, string>, caller: User | undefined): Wait => {
    const user = guard(exchange, route, params, caller)
    return isPromise(user)
      ? user.then(admitted => take(exchange, route, params, admitted))
      : take(exchange, route, params, user)
  }

  const take = (exchange: Exchange, route: Route, params: Record<string, string>, user: User | undefined): Wait => {
    exchange.isAdmitted = true
    hideCredentials(exchange.req, exchange.caller !== undefined)
    const input = route.readInput(exchange, params)
    return isPromise(input)
      ? input.then(read => perform(exchange, route, user, read))
      : perform(exchange, route, user, input)
  }

  const perform = (exchange: Exchange, route: Route, user: User | undefined, input: Input): Wait => {
    if (exchange.isAbandoned) return undefined
    const ctx = application.createContext(exchange, user, input)
    if (route.chain !== undefined) {
      exchange.res.statusCode = 404
      return route.chain(ctx).then(() => application.respond(ctx))
    }
    if (route.status !== 200) ctx.status = route.status
    const result = route.record.handler(ctx)
    return isPromise(result) ? result.then(value => answer(exchange, route, ctx, value)) : answer(exchange, route, ctx, result)
  }

  const answer = (exchange: Exchange, route: Route, ctx: RequestContext, result: unknown): Wait => {
    if (exchange.isAbandoned || exchange.isTakenOver) { discard(result); return undefined }
    const { statusCode } = exchange.res
    const json = findJson(route, statusCode, result)
    if (json !== undefined) { sendJson(exchange, statusCode, json); return undefined }
    settle(route, ctx, result)
    return application.respond(ctx)
  }

  const answerHealth = (exchange: Exchange): Wait => {
    const { method } = exchange.req
    if (method !== 'GET' && method !== 'HEAD') return answerOtherMethod(exchange, ['GET', 'HEAD', 'OPTIONS'])
    sendJson(exchange, 200, '{"status":"ok"}')
    return undefined
  }

  const answerOtherMethod = (exchange: Exchange, allow: readonly string[]): Wait => {
    const list = allow.join(', ')
    if (exchange.req.method !== 'OPTIONS') throw new MethodNotAllowed(`This path answers ${list}.`, allow)
    allowMethods(exchange, list)
    sendEmpty(exchange, 204, { Allow: list })
    return undefined
  }

  return dispatch
}

/** Composes the plugin's middleware around the handler. This happens once for each route, not for each request. */
export function composeChain (application: Application, middleware: readonly Middleware[], route: Route): Route['chain'] {
  if (middleware.length === 0) return undefined
  const last = async (ctx: RequestContext): Promise<void> => {
    // The status is still the initial 404, so no middleware has set one.
    if (ctx.status === 404) ctx.status = route.status
    settle(route, ctx, await route.record.handler(ctx))
  }
  return application.compose([...middleware, last as unknown as Middleware])
}

/** Node uses the first Host header and drops the second; a proxy in front may do the opposite. */
function hasTwoHosts ({ rawHeaders }: IncomingMessage): boolean {
  let hosts = 0
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? ''
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++
  }
  return hosts > 1
}
