// Checks the routes that a plugin declares. Each problem is a sentence that says how to fix it.

import { z } from '../../contract/index.ts'
import type { ProjectSource } from '../../contract/index.ts'
import { methods } from '../../contract/route.ts'
import { describeThrown } from '../../contract/thrown.ts'
import type { RouteRecord } from '../../handover/route-record.ts'
import { partsOf } from '../request/project-source.ts'
import { readPath } from './matcher.ts'
import type { PathFacts } from './matcher.ts'

const guards = ['permission', 'public', 'signedIn'] as const
const optionNames = new Set<string>([...guards, 'project', 'params', 'query', 'body', 'bodyLimitBytes', 'returns', 'status', 'summary'])

export function findRouteProblems (records: readonly RouteRecord[]): string[] {
  const first = new Map<string, string>()
  return records.flatMap(record => {
    const name = `${record.method.toUpperCase()} ${record.path}`
    const problems = [...findDeclarationProblems(record), ...findPathProblems(record.path)]
    if (problems.length > 0) return problems.map(problem => `${name} ${problem}`)

    let facts: PathFacts
    try { facts = readPath(record.path) } catch (error) {
      return [`${name} has a path that cannot be read: ${describeThrown(error)}.`]
    }
    const key = `${record.method} ${record.mount} ${facts.shape}`
    const twin = first.get(key)
    first.set(key, name)
    if (twin !== undefined) problems.push(`answers the same requests as ${twin}; remove one of them.`)
    return [...problems, ...findParamsProblems(record, facts.params)].map(problem => `${name} ${problem}`)
  })
}

function findDeclarationProblems ({ method, options, handler }: RouteRecord): string[] {
  const problems: string[] = []
  if (!methods.includes(method)) problems.push(`has a method no route can have; use one of ${methods.join(', ')}.`)
  if (typeof handler !== 'function') problems.push('has no handler; give a function as the last argument.')
  if (typeof options !== 'object' || (options as unknown) === null) return [...problems, 'has no options; name at least a permission, or say why it is public.']

  const named = guards.filter(guard => options[guard] !== undefined)
  const [guard] = named
  if (guard === undefined) {
    problems.push('does not say who may call it; add "permission", or say in words why it is "public" or why being "signedIn" is enough.')
  } else if (named.length > 1) {
    problems.push(`names ${named.map(name => `"${name}"`).join(' and ')}; keep one of them.`)
  } else if (typeof options[guard] !== 'string' || options[guard].trim() === '') {
    problems.push(guard === 'permission' ? 'has an empty "permission"; name one.' : `does not say why it is "${guard}"; put the reason there in words.`)
  }

  for (const key of Object.keys(options)) {
    if (!optionNames.has(key)) problems.push(`has an option "${key}" that does not exist; remove it or fix its name.`)
  }
  for (const part of ['params', 'query', 'body', 'returns'] as const) {
    if (options[part] !== undefined && !(options[part] instanceof z.ZodType)) problems.push(`has a "${part}" that is not a zod schema; build it with z from 'bulkhead'.`)
  }
  if (options.body !== undefined && method === 'get') problems.push('takes a body, which a GET cannot have; use "query", or POST.')
  problems.push(...findBodyLimitProblems(options), ...findProjectProblems(options))
  const { status } = options
  if (status !== undefined && (!Number.isInteger(status) || status < 200 || status > 299)) {
    problems.push(`has the status ${status}; a success is 200 to 299, for the rest throw an error of the catalogue.`)
  }
  if (options.returns !== undefined && (status === 204 || status === 205)) problems.push(`answers ${status}, which has no body; drop "returns" or the status.`)
  return problems
}

function findBodyLimitProblems ({ bodyLimitBytes, body }: RouteRecord['options']): string[] {
  if (bodyLimitBytes === undefined) return []
  if (!Number.isSafeInteger(bodyLimitBytes) || bodyLimitBytes < 1) {
    return [`has the bodyLimitBytes ${String(bodyLimitBytes)}; give a whole number of bytes, such as 64 * 1024.`]
  }
  return body === undefined ? ['has a "bodyLimitBytes" and no "body"; add "body", or drop the limit and bound in the handler what it reads of ctx.req.'] : []
}

function findProjectProblems (options: RouteRecord['options']): string[] {
  // A plugin in plain JavaScript may leave out any of them, in any combination.
  const { project, permission, signedIn } = options as { project?: ProjectSource | 'narrowed', permission?: string, signedIn?: string }
  if (project === undefined || (project === 'narrowed' && signedIn !== undefined)) return []
  if (project === 'narrowed' || !/^(?:params|query|body)\.[^.]+$/.test(project)) {
    return ['has a "project" that is not part of a request; name where the id is: "params.projectId", "query.…" or "body.…".']
  }
  const { part, name } = partsOf(project)
  const problems = permission === undefined && signedIn === undefined
    ? ['names a "project" and no permission to be held in it; add "permission" or "signedIn", or drop "project".'] : []
  const schema = options[part]
  const names = schema instanceof z.ZodObject ? Object.keys(schema.shape) : undefined
  if (schema === undefined || names?.includes(name) === false) {
    problems.push(`takes its project from "${project}", which its "${part}" does not have; add ${name}: z.uuid() there.`)
  }
  return problems
}

function findPathProblems (path: string): string[] {
  if (typeof path !== 'string' || !path.startsWith('/')) return ['has a path that does not begin with "/"; put one in front.']
  if (path !== '/' && path.endsWith('/')) return ['ends with "/", and a trailing slash is another path; drop it.']
  if (path.includes('//')) return ['has an empty segment; drop one "/".']
  // Requests carry these characters percent-encoded, and the host compares paths without decoding them.
  if (/[^\x21-\x7e]|[%#]/.test(path)) return ['holds a character that no request path can hold as it is; use letters, digits, "-", "_" and ".".']
  return []
}

function findParamsProblems ({ options }: RouteRecord, inPath: readonly string[]): string[] {
  const { params } = options
  if (params === undefined) {
    return inPath.length === 0 ? [] : [`has ${list(inPath)} in its path and no schema for it; add params: z.object({ ${inPath.join(', ')}: … }).`]
  }
  if (!(params instanceof z.ZodObject)) return []
  const inSchema = Object.keys(params.shape)
  const missing = inPath.filter(name => !inSchema.includes(name))
  const extra = inSchema.filter(name => !inPath.includes(name))
  return [
    ...missing.length > 0 && params.def.catchall === undefined ? [`has ${list(missing)} in its path but not in "params"; add it there.`] : [],
    ...extra.length > 0 ? [`has ${list(extra)} in "params" but not in its path; drop it or add it to the path.`] : []
  ]
}

const list = (names: readonly string[]): string => names.map(name => `"${name}"`).join(', ')
