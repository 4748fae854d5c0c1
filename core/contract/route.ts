// How a plugin declares its routes. A declaration holds everything that the host needs to guard, check and describe a
// route.

import type { ParameterizedContext, DefaultState, Middleware } from 'koa'
import type { z } from 'zod'
import type { User } from './access.ts'
import type { Log } from './log.ts'

export const methods = ['get', 'post', 'put', 'patch', 'delete'] as const
export type Method = (typeof methods)[number]

/**
 * The part of the request, and the field in it, that hold the id of the project that the request is about:
 * `params.projectId`.
 */
export type ProjectSource = `${'params' | 'query' | 'body'}.${string}`

/**
 * Defines which callers a route admits. A route declares exactly one of `permission`, `public` and `signedIn`; a route
 * with none of them does not load.
 */
export type Guard =
  | {
    permission: string
    /**
     * The caller must hold the permission in this project; a caller who holds no permission in it gets 404. By default
     * the permission is checked outside any project.
     */
    project?: ProjectSource
    public?: never
    signedIn?: never
  }
  | { /** The reason why anyone may call this route. */ public: string, permission?: never, signedIn?: never, project?: never }
  | {
    /** The reason why being signed in is enough. The handler itself checks anything else that a caller needs. */
    signedIn: string
    /**
     * Defines what a token that is bound to a project can reach through this route. With a project source, it reaches
     * that project only. With `narrowed`, it reaches the route, and the handler must narrow its answer to
     * `user.signedInBy.projectId`. By default it reaches nothing: 404.
     */
    project?: ProjectSource | 'narrowed'
    permission?: never
    public?: never
  }

export interface Shape {
  params?: z.ZodType
  query?: z.ZodType
  body?: z.ZodType
  /**
   * Limits the body, both compressed and decompressed. The default is 64 kB on a public route, and
   * PLATFORM_BODY_LIMIT_BYTES on all others. No route can exceed PLATFORM_BODY_LIMIT_BYTES.
   */
  bodyLimitBytes?: number
  /**
   * The schema of a successful answer. The body is checked against it and contains nothing that the schema does not
   * name.
   */
  returns?: z.ZodType
  /**
   * The status of a successful answer. The default is 200, or 204 when the handler returns undefined and `returns` is
   * absent.
   */
  status?: number
  /** A one-line summary for the API description. */
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
   * True when the browser reports that a page of another origin made this request and `PLATFORM_CORS_ORIGINS` does not
   * name that origin. The host refuses such a change when it comes with the session cookie. A public route that changes
   * something in the visitor's browser must refuse it without a cookie, too.
   */
  readonly isFromForeignPage: boolean
  /** Aborts when the client has disconnected or the request's time is up. */
  readonly signal: AbortSignal
  /**
   * Aborts when the host is about to stop, or when another generation has replaced this one. A long-lived answer, such
   * as a stream of events, must then end. An answer that has not ended within the drain is cut off.
   */
  readonly ending: AbortSignal
}

/** Sets or clears the session cookie in the answer. No plugin can read the session cookie of a request. */
export interface SessionCookie {
  /** Sets the session cookie. `expiresAt` is in ISO 8601. */
  set (token: string, expiresAt: string): void
  /** Removes every session cookie from the browser. */
  clear (): void
  /**
   * Finds the user of a second session cookie in the request, which the host ignored. Signing out can then end that
   * session, too.
   */
  findOther (): Promise<User | undefined>
}

/**
 * Koa's context with the checked input and the caller. It does not contain the session cookie and the `Authorization`
 * header that the host consumed.
 */
export type RequestContext<O extends RouteOptions = RouteOptions> = ParameterizedContext<DefaultState, RequestFacts<O>>

/** Handles a matched request. Its return value is the body; a handler that set `ctx.body` itself returns undefined. */
export type Handler<O extends RouteOptions> = (ctx: RequestContext<O>) => Answer<O> | Promise<Answer<O>>

export type Register = <const O extends RouteOptions>(path: string, options: O, handler: Handler<O>) => void

/**
 * Registers routes. Paths begin with `/` and are relative to `/api/<mount>`. The mount is the plugin's first one unless
 * `at` names another.
 */
export interface Routes extends Record<Method, Register> {
  /** Returns the same registrations under another of the plugin's mounts. */
  at (mount: string): Routes
  /**
   * Adds a Koa middleware to every route of this plugin. It runs after the guard and before the handler. In-process
   * plugins only.
   */
  use (middleware: Middleware): void
}
