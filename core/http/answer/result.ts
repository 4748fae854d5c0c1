// Turns a handler's result into an answer. With `returns` the result of a success is checked and always sent as JSON;
// without it koa decides by the kind of the result.

import { Readable } from 'node:stream'
import type { RequestContext } from '../../contract/index.ts'
import type { Route } from '../route/prepared-route.ts'
import { AnswerLost, checkJson } from './lost-data.ts'

/** Returns the JSON of an answer that can be sent without koa, or undefined when koa must answer. */
export function findJson (route: Route, status: number, result: unknown): string | undefined {
  if (result === undefined || !isSuccess(status)) return undefined
  if (route.checkAnswer !== undefined) {
    checkEmpty(route.label, status, result)
    return toJson(route.label, route.checkAnswer(result), route.isJson)
  }
  if (!isPlain(result)) return undefined
  checkEmpty(route.label, status, result)
  return toJson(route.label, result)
}

/** `isJson` says that a schema has checked the value. Throws `AnswerLost`. */
export function toJson (label: string, value: unknown, isJson = false): string {
  const text = JSON.stringify(value) as string | undefined
  if (!isJson) checkJson(label, value)
  return text ?? 'null'
}

/** Answers with these statuses have no body, so Node would drop it. */
const emptyStatuses: ReadonlySet<number> = new Set([204, 205, 304])

export function checkEmpty (label: string, status: number, body: unknown): void {
  if (emptyStatuses.has(status) && body !== undefined && body !== null) {
    throw new AnswerLost(label, '', `sent with the status ${status}, which has none; answer nothing, or another status`)
  }
}

/**
 * Puts the result into `ctx.body`, where middleware expects it. A handler that returns undefined may have set
 * `ctx.body` itself.
 */
export function settle (route: Route, ctx: RequestContext, result: unknown): void {
  if (route.checkAnswer !== undefined && isSuccess(ctx.status)) {
    setChecked(route, ctx, route.checkAnswer(result === undefined ? ctx.body : result))
  } else if (result !== undefined) {
    ctx.body = result
  } else if (ctx.body === undefined && ctx.status === route.status) {
    ctx.status = 204
  }
}

function setChecked (route: Route, ctx: RequestContext, body: unknown): void {
  if (body === undefined) { ctx.status = 204; return }
  // Koa would send a string as text, and null as an empty answer. Here both are JSON values.
  ctx.type = 'json'
  ctx.body = typeof body === 'object' && body !== null ? body : toJson(route.label, body, route.isJson)
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

/**
 * Discards a result that no client waits for. A stream that is not destroyed would hold its file or its socket forever.
 */
export function discard (result: unknown): void {
  if (result instanceof Readable) result.destroy()
}
