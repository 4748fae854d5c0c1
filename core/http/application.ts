// Creates the koa application. Koa gives plugins its context, its way of answering and its middleware; the dispatcher
// orders the steps of a request.

import { parse as parseQuery } from 'node:querystring'
import type { ParsedUrlQuery } from 'node:querystring'
import Koa from 'koa'
import type { Middleware } from 'koa'
import type { Log, RequestContext, User } from '../contract/index.ts'
import type { Answering } from './answer/answer.ts'
import { prepareStream } from './answer/answer-stream.ts'
import type { Fail } from './answer/failure.ts'
import { checkEmpty, discard, toJson } from './answer/result.ts'
import type { Exchange } from './exchange.ts'
import { addressOf, hostOf, protocolOf } from './request/forwarded.ts'
import type { Input } from './request/input.ts'
import { originOf, type OriginRules } from './request/request-origin.ts'
import { createSessionCookie } from './request/session-cookie.ts'

type OwnContext = RequestContext & { exchange: Exchange }

export type { Middleware } from 'koa'

export interface Application {
  createContext (exchange: Exchange, user: User | undefined, input: Input): RequestContext
  /**
   * Sends `ctx.body` as koa does: text, buffers, streams and blobs, with koa's defaults for headers that were not set.
   */
  respond (ctx: RequestContext): Promise<void>
  compose (middleware: readonly Middleware[]): (ctx: RequestContext) => Promise<void>
}

export interface ApplicationParts {
  log: Log
  originRules: OriginRules
  setOwnHeaders: Answering['setOwnHeaders']
  fail: Fail
}

/** Two methods of koa 3.3's application that its types leave out. */
interface Inside {
  compose (middleware: readonly Middleware[]): (ctx: RequestContext) => Promise<void>
  handleRequest (ctx: RequestContext, middleware: () => Promise<void>): Promise<void>
}

const nothing = Promise.resolve()

export function createApplication ({ log, originRules, setOwnHeaders, fail }: ApplicationParts): Application {
  const { trustProxyHops, secureCookies } = originRules
  // Koa needs both settings for `ctx.ips`, which is counted from the right, too.
  const koa = new Koa({ proxy: trustProxyHops > 0, maxIpsCount: trustProxyHops })
  const inside = koa as unknown as Inside
  // Third-party middleware may emit "error" on the application. Without a listener that would throw.
  koa.on('error', (err: unknown) => log.error({ err }, 'a middleware announced an error'))

  const own: PropertyDescriptorMap & ThisType<OwnContext> = {
    requestId: { get () { return this.exchange.requestId } },
    log: { get () { return this.exchange.logOf(log) } },
    signal: { get () { return this.exchange.signal } },
    sessionCookie: { get () { return createSessionCookie(this, this.exchange) } },
    isFromForeignPage: { get () { return originOf(this.req, originRules) === 'foreign' } },
    ending: { get () { return this.exchange.ending } },
    // `ctx.respond = false` means that the handler answers by itself. Its answer still gets the headers that every
    // answer has.
    respond: {
      get () { return !this.exchange.isTakenOver },
      set (value: boolean) {
        this.exchange.isTakenOver = !value
        if (!value) setOwnHeaders(this.exchange)
      }
    },
    // Koa also calls this without an error when the request succeeded.
    onerror: { value (this: OwnContext, thrown: unknown) { if (thrown !== null && thrown !== undefined) fail(this.exchange, thrown) } }
  }
  Object.defineProperties(koa.context, own)
  const koas = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(koa.request), 'query')
  const ownRequest: PropertyDescriptorMap & ThisType<Koa.Request & { _querycache?: Record<string, ParsedUrlQuery> }> = {
    // Koa's own getter searches all values of a key once for each of them: 7,500 times the same key took two seconds.
    query: {
      ...koas,
      get () {
        const cache = this._querycache ??= Object.create(null) as Record<string, ParsedUrlQuery>
        return cache[this.querystring] ??= parseQuery(this.querystring, undefined, undefined, { maxKeys: 0 })
      }
    },
    // Cookies are `Secure` when the site is served over https, even when the last proxy talks to this host over http.
    secure: { get () { return secureCookies || this.protocol === 'https' } },
    // Koa uses the left-most forwarded value, which a client may have written.
    host: { get () { return hostOf(this.req, trustProxyHops) } },
    protocol: { get () { return protocolOf(this.req, trustProxyHops) } },
    ip: { get () { return addressOf(this.req, trustProxyHops) } }
  }
  Object.defineProperties(koa.request, ownRequest)
  const koasBody = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(koa.response), 'body')
  Object.defineProperty(koa.response, 'body', {
    ...koasBody,
    // Koa knows bytes only as a Buffer, and would send others as JSON.
    set (value: unknown) {
      const bytes = ArrayBuffer.isView(value) && !Buffer.isBuffer(value) ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : value
      koasBody?.set?.call(this, bytes instanceof ArrayBuffer ? Buffer.from(bytes) : bytes)
    }
  })

  /** Prepares what koa would send without noticing that it is lost or breaks. Throws `AnswerLost`. */
  const prepareBody = (ctx: RequestContext, exchange: Exchange, status: number): void => {
    const { body } = ctx as { body: unknown }
    checkEmpty(exchange.place, status, body)
    if (body === undefined || body === null || typeof body === 'string' || Buffer.isBuffer(body)) return
    const length = body instanceof Blob ? body.size : undefined
    const stream = prepareStream(body, exchange.place, (reason: unknown) => fail(exchange, reason))
    if (stream !== undefined) {
      if (stream !== body) ctx.body = stream
      if (length !== undefined) ctx.length = length
    } else if (!(body instanceof Response)) {
      ctx.body = toJson(exchange.place, body)
    }
  }

  return {
    createContext (exchange, user, input) {
      return Object.assign(koa.createContext(exchange.req, exchange.res), { exchange, user, input }) as unknown as RequestContext
    },
    respond (ctx) {
      const { exchange, res } = ctx as OwnContext
      if (exchange.isAbandoned || exchange.isTakenOver) {
        discard(ctx.body)
        return nothing
      }
      setOwnHeaders(exchange)
      const status = res.statusCode
      prepareBody(ctx, exchange, status)
      // Koa sets the status of every request to 404 first, so it is restored here.
      return inside.handleRequest(ctx, () => { res.statusCode = status; return nothing })
    },
    compose: middleware => inside.compose(middleware)
  }
}
