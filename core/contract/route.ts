// How a plugin declares its routes: everything the host needs to guard, check and describe one is in the declaration.

import type { ParameterizedContext, DefaultState, Middleware } from 'koa'
import type { z } from 'zod'
import type { User } from './access.ts'
import type { Log } from './log.ts'

export const methods = ['get', 'post', 'put', 'patch', 'delete'] as const
export type Method = (typeof methods)[number]

/** The part of a request and its field that hold the id of the project the request is about. */
export type ProjectSource = `${'params' | 'query' | 'body'}.${string}`

/** Who may call: exactly one of the three. A route with none of them does not load. */
export type Guard =
  | {
    permission: string
    /** The permission must be held in this project; 404 for whoever holds nothing in it. Unless said, outside any project. */
    project?: ProjectSource
    public?: never
    signedIn?: never
  }
  | { /** Why anyone may call it. */ public: string, permission?: never, signedIn?: never, project?: never }
  | {
    /** Why being signed in is enough: what else a caller needs the handler finds out. */
    signedIn: string
    /**
     * What a token bound to a project reaches here: this project only; or, with `narrowed`, whatever the handler leaves of the answer for
     * `user.signedInBy.projectId`. Unless said, nothing: 404.
     */
    project?: ProjectSource | 'narrowed'
    permission?: never
    public?: never
  }

export interface Shape {
  params?: z.ZodType
  query?: z.ZodType
  body?: z.ZodType
  /** Limits the body, packed and unpacked. By default 64 kB where the route is public, else PLATFORM_BODY_LIMIT_BYTES, which no route exceeds. */
  bodyLimitBytes?: number
  /** What a success answers. The body is checked against it and holds nothing it does not name. */
  returns?: z.ZodType
  /** Of a success. 200 unless said; 204 when the handler returns undefined and `returns` is absent. */
  status?: number
  /** One line for the API description. */
  summary?: string
}

export type RouteOptions = Guard & Shape

type Checked<S> = S extends z.ZodType ? z.output<S> : undefined
type Answer<O> = O extends { returns: infer R extends z.ZodType } ? z.input<R> : unknown

export interface RequestFacts<O extends RouteOptions = RouteOptions> {
  readonly input: {
    readonly params: Checked<O['params']>
    readonly query: Checked<O['query']>
    readonly body: Checked<O['body']>
  }
  readonly user: O extends { public: string } ? User | undefined : User
  readonly requestId: string
  readonly log: Log
  readonly sessionCookie: SessionCookie
  /**
   * The browser says that a page of another origin made this request, and `PLATFORM_CORS_ORIGINS` does not name that origin. The host refuses such
   * a change when it comes with the session cookie; a public route that changes something in the visitor's browser refuses it without one, too.
   */
  readonly isFromForeignPage: boolean
  /** Aborts when the client has gone or the request's time is up. */
  readonly signal: AbortSignal
  /**
   * Aborts when the host is about to stop, or another generation has taken the plugin's place: an answer that goes on and on, such as a stream of
   * events, ends then. What is not over within the drain is cut off.
   */
  readonly ending: AbortSignal
}

/** The cookie of the answer that holds a session. No plugin reads the cookie of a request. */
export interface SessionCookie {
  /** `expiresAt` in ISO 8601. */
  set (token: string, expiresAt: string): void
  /** Takes every session cookie away from the browser. */
  clear (): void
  /** The user of a second session cookie in the request, which did not count, so that signing out can end that session, too. */
  findOther (): Promise<User | undefined>
}

/** Koa's context with the checked input and the caller; the session cookie and the `Authorization` header that the host took are not in it. */
export type RequestContext<O extends RouteOptions = RouteOptions> = ParameterizedContext<DefaultState, RequestFacts<O>>

/** What it returns is the body; a handler that set `ctx.body` itself returns undefined. */
export type Handler<O extends RouteOptions> = (ctx: RequestContext<O>) => Answer<O> | Promise<Answer<O>>

export type Register = <const O extends RouteOptions>(path: string, options: O, handler: Handler<O>) => void

/** Paths begin with `/` and are relative to `/api/<mount>`; the mount is the plugin's first unless `at` names another. */
export interface Routes extends Record<Method, Register> {
  /** The same registrations under another of the plugin's mounts. */
  at (mount: string): Routes
  /** Any Koa middleware, for every route of this plugin, after the guard and before the handler. In-process only. */
  use (middleware: Middleware): void
}

/** A declared route as the host keeps it. */
export interface RouteRecord {
  readonly plugin: string
  readonly mount: string
  readonly method: Method
  /** Relative to the mount. */
  readonly path: string
  readonly options: RouteOptions
  readonly handler: Handler<RouteOptions>
}
