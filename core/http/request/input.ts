// Reads and checks the input of a request: params, query and body. One answer names every field that does not pass.

import { parse as parseQuery } from 'node:querystring'
import { ValidationFailed, z } from '../../contract/index.ts'
import type { FieldError, RequestFacts, Shape } from '../../contract/index.ts'
import { readBodyOnce } from '../body/body.ts'
import type { Exchange } from '../exchange.ts'

export type Input = RequestFacts['input']
export type ReadInput = (exchange: Exchange, params: Record<string, string>) => Input | Promise<Input>

const mostErrors = 100
const nothing: Input = { params: undefined, query: undefined, body: undefined }

export function createInputReader (shape: Shape, bodyLimitBytes: number): ReadInput {
  const params = strict(shape.params)
  const query = strict(shape.query)
  const body = strict(shape.body)
  if (params === undefined && query === undefined && body === undefined) return () => nothing

  const check = (exchange: Exchange, rawParams: Record<string, string>, rawBody: unknown): Input => {
    const errors: FieldError[] = []
    const input = {
      params: params && take(params, 'params', rawParams, errors),
      query: query && take(query, 'query', queryOf(exchange), errors),
      body: body && take(body, 'body', rawBody, errors)
    } as Input
    if (errors.length > 0) throw new ValidationFailed(errors)
    return input
  }
  if (body === undefined) return (exchange, rawParams) => check(exchange, rawParams, undefined)
  return async (exchange, rawParams) => check(exchange, rawParams, await readBodyOnce(exchange, bodyLimitBytes))
}

/**
 * `z.object` drops unknown keys. At the top level of a route's input they are refused instead, unless the schema has a
 * catchall.
 */
function strict (schema: z.ZodType | undefined): z.ZodType | undefined {
  return schema instanceof z.ZodObject && schema.def.catchall === undefined ? schema.strict() : schema
}

function take (schema: z.ZodType, part: string, value: unknown, errors: FieldError[]): unknown {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  for (const issue of result.error.issues) {
    if (errors.length >= mostErrors) break
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) add(errors, [part, ...issue.path, key], 'There is no such field.')
    } else {
      add(errors, [part, ...issue.path], issue.message)
    }
  }
  return undefined
}

function add (errors: FieldError[], path: readonly PropertyKey[], message: string): void {
  if (errors.length < mostErrors) errors.push({ path: path.map(String).join('.').slice(0, 256), message })
}

export function queryOf ({ req }: Exchange): Record<string, unknown> {
  const url = req.url ?? ''
  const mark = url.indexOf('?')
  return mark === -1 ? {} : { ...parseQuery(url.slice(mark + 1), undefined, undefined, { maxKeys: 0 }) }
}
