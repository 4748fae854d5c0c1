// Prepares a declared route for requests. Everything that does not depend on a request is computed here, once.

import type { RequestContext } from '../../contract/index.ts'
import type { RouteRecord } from '../../handover/route-record.ts'
import { isJsonSchema } from '../answer/lost-data.ts'
import { bodyLimitOf } from '../body/body.ts'
import { createInputReader } from '../request/input.ts'
import type { ReadInput } from '../request/input.ts'
import { createProjectFinder } from '../request/project-source.ts'
import type { FindProject } from '../request/project-source.ts'

export interface Route {
  readonly record: RouteRecord
  /** Full path with its parameters as declared, such as `/api/notes/:id`. */
  readonly path: string
  /** Name in log lines, such as `GET /api/notes/:id`. */
  readonly label: string
  readonly status: number
  /**
   * Undefined when the route names no place for a project id: it has no project, or its handler narrows the answer
   * itself.
   */
  readonly findProject: FindProject | undefined
  readonly readInput: ReadInput
  /** Checks the body of a success against `returns`. Throws `AnswerMismatch`. */
  readonly checkAnswer: ((body: unknown) => unknown) | undefined
  /** True when `returns` lets nothing through that JSON cannot hold. */
  readonly isJson: boolean
  /** The plugin's middleware around the handler; undefined when it has none. */
  readonly chain: ((ctx: RequestContext) => Promise<void>) | undefined
}

/** The handler's answer does not match the route's `returns`. This is a bug in the plugin, never the caller's fault. */
export class AnswerMismatch extends Error {
  readonly code = 'BULKHEAD_ANSWER_MISMATCH'
  readonly issues: readonly { path: string, message: string }[]

  constructor (label: string, issues: readonly { path: string, message: string }[]) {
    super(`${label} answered a value that does not match its "returns": ${issues.map(({ path, message }) => `${path}: ${message}`).join('; ')}`)
    this.name = 'AnswerMismatch'
    this.issues = issues
  }
}

export function createRoute (record: RouteRecord, bodyLimitBytes: number): Route {
  const { options, method, mount, path } = record
  const { returns } = options
  const whole = `/api/${mount}${path === '/' ? '' : path}`
  const limitBytes = bodyLimitOf(options, bodyLimitBytes)
  const label = `${method.toUpperCase()} ${whole}`
  return {
    record,
    path: whole,
    label,
    status: options.status ?? 200,
    chain: undefined,
    isJson: returns !== undefined && isJsonSchema(returns),
    findProject: createProjectFinder(options, limitBytes),
    readInput: createInputReader(options, limitBytes),
    checkAnswer: returns === undefined ? undefined : body => {
      const result = returns.safeParse(body)
      if (result.success) return result.data
      throw new AnswerMismatch(label, result.error.issues.map(({ path, message }) => ({ path: path.map(String).join('.') || 'body', message })))
    }
  }
}
