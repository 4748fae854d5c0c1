// What becomes of a handler's result: with `returns` it is checked and always JSON, without it koa decides by its kind.

import { Readable } from 'node:stream'
import type { RequestContext } from '../../contract/index.ts'
import type { Route } from '../route/prepared-route.ts'

/** The JSON of an answer that needs nothing of koa, or undefined when koa is to answer. */
export function findJson (route: Route, status: number, result: unknown): string | undefined {
  if (result === undefined || !isSuccess(status)) return undefined
  if (route.checkAnswer !== undefined) return JSON.stringify(route.checkAnswer(result))
  return isPlain(result) ? JSON.stringify(result) : undefined
}

/** Puts the result into `ctx.body`, where middleware expects it; a handler that returns nothing may have set it itself. */
export function settle (route: Route, ctx: RequestContext, result: unknown): void {
  if (route.checkAnswer !== undefined && isSuccess(ctx.status)) {
    setChecked(ctx, route.checkAnswer(result === undefined ? ctx.body : result))
  } else if (result !== undefined) {
    ctx.body = result
  } else if (ctx.body === undefined && ctx.status === route.status) {
    ctx.status = 204
  }
}

function setChecked (ctx: RequestContext, body: unknown): void {
  if (body === undefined) { ctx.status = 204; return }
  // Koa would send a string as text and null as nothing; here both are JSON values.
  ctx.type = 'json'
  ctx.body = typeof body === 'object' && body !== null ? body : JSON.stringify(body)
}

function isPlain (value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  if (Array.isArray(value)) return true
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

const isSuccess = (status: number): boolean => status >= 200 && status < 300

export function isPromise<T> (value: T | PromiseLike<T>): value is Promise<T> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}

/** An answer that nobody waits for any more: a stream would hold its file or its socket for good. */
export function discard (result: unknown): void {
  if (result instanceof Readable) result.destroy()
}
