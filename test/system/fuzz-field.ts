// Reads from the zod schemas of a route which fields it has, and puts a value into one of them.

import type { RouteRecord } from '../../core/handover/route-record.ts'
import type { FuzzValue } from './fuzz-value.ts'

export interface FuzzField {
  readonly part: 'params' | 'query' | 'body'
  /** Within the part; empty for the whole body. */
  readonly path: readonly string[]
}

export interface FuzzBase {
  readonly params?: Readonly<Record<string, string>>
  readonly query?: Readonly<Record<string, string>>
  readonly body?: object
}

export interface FuzzRequest {
  readonly url: string
  readonly body: string | undefined
}

/** As far as it is read here; zod's own types say nothing of what is in a schema of any type. */
interface Definition {
  readonly type: string
  readonly shape?: Readonly<Record<string, Schema>>
  readonly innerType?: Schema
  readonly element?: Schema
  readonly in?: Schema
  readonly options?: readonly Schema[]
}
interface Schema { readonly def: Definition }

/** What lies within a schema, whatever is wrapped around it, with the paths that lead there. */
function pathsIn (schema: Schema, path: readonly string[]): readonly (readonly string[])[] {
  const { shape, innerType, element, in: input, options } = schema.def
  if (shape !== undefined) return Object.entries(shape).flatMap(([key, field]) => [[...path, key], ...pathsIn(field, [...path, key])])
  if (element !== undefined) return [[...path, '0'], ...pathsIn(element, [...path, '0'])]
  const inner = innerType ?? input
  return inner !== undefined ? pathsIn(inner, path) : (options ?? []).flatMap(option => pathsIn(option, path))
}

export function fieldsOf ({ options }: RouteRecord): FuzzField[] {
  const parts = (['params', 'query', 'body'] as const).flatMap(part => {
    const schema = options[part]
    if (schema === undefined) return []
    const paths = pathsIn(schema, [])
    const unique = [...new Map(paths.map(path => [path.join('.'), path])).values()]
    return [...part === 'body' ? [{ part, path: [] }] : [], ...unique.map(path => ({ part, path }))]
  })
  return parts
}

/** Undefined where the value cannot stand in such a field. */
export function requestWith (pattern: string, base: FuzzBase, { part, path }: FuzzField, value: FuzzValue): FuzzRequest | undefined {
  const [field = ''] = path
  if (part !== 'body' && value.encoded === undefined && (part === 'params' || value.query === undefined)) return undefined
  if (part === 'body' && value.query !== undefined) return undefined
  // An empty segment, `.` and `..` are another path, which a client resolves before it asks.
  if (part === 'params' && /^(?:\.|%2E){0,2}$/i.test(value.encoded ?? '')) return undefined
  const at = pattern.replaceAll(/:(\w+)/g, (_, name: string) => part === 'params' && name === field ? value.encoded ?? '' : base.params?.[name] ?? '')
  const query = Object.entries(base.query ?? {}).filter(([name]) => part !== 'query' || name !== field).map(([name, text]) => `${name}=${encodeURIComponent(text)}`)
  if (part === 'query') query.push(value.query?.(field) ?? `${field}=${value.encoded ?? ''}`)
  const body = part === 'body' ? withValue(base.body, path, value.json) : base.body === undefined ? undefined : JSON.stringify(base.body)
  return { url: `${at}${query.length === 0 ? '' : `?${query.join('&')}`}`, body }
}

/** As text, because some values exist in JSON only: `1e400`, `-0`, a key `__proto__`. */
function withValue (base: unknown, path: readonly string[], json: string): string {
  const [key, ...rest] = path
  if (key === undefined) return json
  const isElement = /^\d+$/.test(key)
  const fields = Object.entries<unknown>(typeof base === 'object' && base !== null ? { ...base } : {})
  const before = fields.find(([name]) => name === key)?.[1]
  const others = fields.filter(([name]) => name !== key)
  if (isElement) return `[${[withValue(before, rest, json), ...others.map(([, other]) => JSON.stringify(other))].join(',')}]`
  return `{${[...others.map(([name, other]) => `${JSON.stringify(name)}:${JSON.stringify(other)}`), `${JSON.stringify(key)}:${withValue(before, rest, json)}`].join(',')}}`
}
