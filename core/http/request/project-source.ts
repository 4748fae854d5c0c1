// Finds the project that a request is about, in the place that its route declares, such as `params.projectId`.

import type { ProjectSource, RouteOptions } from '../../contract/index.ts'
import { readBodyOnce } from '../body/body.ts'
import type { Exchange } from '../exchange.ts'
import { queryOf } from './input.ts'

/** Returns the unchecked value in that place of the request, undefined when there is none. */
export type FindProject = (exchange: Exchange, params: Record<string, string>) => unknown

const uuidForm = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

export function createProjectFinder ({ project }: RouteOptions, bodyLimitBytes: number): FindProject | undefined {
  if (project === undefined || project === 'narrowed') return undefined
  const { part, name } = partsOf(project)
  if (part === 'params') return (_, params) => params[name]
  if (part === 'query') return exchange => fieldOf(queryOf(exchange), name)
  return async exchange => fieldOf(await readBodyOnce(exchange, bodyLimitBytes), name)
}

export function partsOf (source: ProjectSource): { part: 'params' | 'query' | 'body', name: string } {
  const dot = source.indexOf('.')
  return { part: source.slice(0, dot) as 'params' | 'query' | 'body', name: source.slice(dot + 1) }
}

/**
 * Returns the project id as the database writes it, in lower case. Undefined for a value that cannot be a project id.
 */
export const projectIdOf = (value: unknown): string | undefined =>
  typeof value === 'string' && uuidForm.test(value) ? value.toLowerCase() : undefined

const fieldOf = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined
