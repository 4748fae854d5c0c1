// Finds data in an answer that JSON would drop or change without an error, such as a Map, which becomes {}.

import { isProxy, isPromise as isNativePromise } from 'node:util/types'
import type { z } from 'zod'

/** The answer of a handler holds data that cannot be sent. This is a bug in the plugin, never the caller's fault. */
export class AnswerLost extends Error {
  readonly code = 'BULKHEAD_ANSWER_LOST'

  constructor (label: string, path: string, what: string) {
    super(`${label} answers data that would be lost: ${path === '' ? 'the body' : path} is ${what}`)
    this.name = 'AnswerLost'
  }
}

/** Throws `AnswerLost` for the first value that JSON cannot hold. Call it after JSON.stringify, which refuses circles. */
export function checkJson (label: string, value: unknown): void {
  const lost = findLost(value)
  if (lost !== undefined) throw new AnswerLost(label, lost.path.reverse().join('.'), lost.what)
}

interface Lost { readonly path: (string | number)[], readonly what: string }

function findLost (value: unknown): Lost | undefined {
  switch (typeof value) {
    case 'number': return Number.isFinite(value) ? undefined : { path: [], what: `${value}, which becomes null in JSON` }
    case 'function': return { path: [], what: 'a function, which JSON leaves out' }
    case 'symbol': return { path: [], what: 'a Symbol, which JSON leaves out' }
    case 'object': return value === null ? undefined : findLostIn(value)
    default: return undefined
  }
}

function findLostIn (value: object): Lost | undefined {
  if (Array.isArray(value)) {
    for (let at = 0; at < value.length; at++) {
      const lost = findLost(value[at])
      if (lost !== undefined) { lost.path.push(at); return lost }
    }
    return undefined
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) {
    const what = nameLost(value)
    if (what !== undefined) return { path: [], what }
  }
  // It says itself what it is in JSON.
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function') return undefined
  for (const name of Object.keys(value)) {
    const lost = findLost((value as Record<string, unknown>)[name])
    if (lost !== undefined) { lost.path.push(name); return lost }
  }
  return undefined
}

function nameLost (value: object): string | undefined {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'an invalid Date, which becomes null in JSON' : undefined
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return 'bytes; answer them as the whole body, or as text in base64'
  if (isNativePromise(value)) return 'a promise; await it'
  if (value instanceof Map || value instanceof Set) return `a ${value.constructor.name}, which becomes {} in JSON; answer an object or an array`
  if (value instanceof Error) return 'an Error, of which JSON keeps no message; throw it, or answer its message'
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function' || isProxy(value)) return undefined
  if (typeof (value as { then?: unknown }).then === 'function') return 'a promise; await it'
  if (Symbol.iterator in value || Symbol.asyncIterator in value) return 'an iterator, which becomes {} in JSON; answer an array'
  if (value instanceof Number || value instanceof String || value instanceof Boolean) return undefined
  return Object.keys(value).length === 0 ? `an object of the class ${value.constructor.name}, of which JSON keeps nothing; answer a plain object` : undefined
}

type Definition = Readonly<Record<string, unknown>> & { readonly type: string }

/** True when everything that the schema lets through can be sent as JSON, so that answers need no further check. */
export function isJsonSchema (schema: z.ZodType, depth = 0): boolean {
  const { type, ...def } = (schema as unknown as { _zod: { def: Definition } })._zod.def
  const fits = (inner: unknown): boolean => isJsonSchema(inner as z.ZodType, depth + 1)
  // A schema may contain itself. Deeper ones than this do not occur, and are checked at each answer.
  if (depth > 20) return false
  switch (type) {
    case 'string': case 'number': case 'boolean': case 'null': case 'undefined': case 'void': case 'enum': case 'template_literal': case 'date': return true
    case 'literal': return (def.values as unknown[]).every(value => value === null || ['string', 'number', 'boolean', 'undefined'].includes(typeof value))
    case 'object': return Object.values(def.shape as object).every(fits) && (def.catchall === undefined || isNever(def.catchall))
    case 'array': return fits(def.element)
    case 'record': return fits(def.valueType)
    case 'tuple': return (def.items as unknown[]).every(fits) && (def.rest === null || fits(def.rest))
    case 'union': return (def.options as unknown[]).every(fits)
    case 'intersection': return fits(def.left) && fits(def.right)
    case 'pipe': return fits(def.out)
    case 'optional': case 'nullable': case 'nonoptional': case 'readonly': return fits(def.innerType)
    default: return false
  }
}

const isNever = (schema: unknown): boolean => (schema as { _zod: { def: Definition } })._zod.def.type === 'never'
