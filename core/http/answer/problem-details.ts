// Turns a thrown value into an RFC 9457 answer. An error that is not meant for the caller becomes an answer without
// internal details.

import { STATUS_CODES } from 'node:http'
import * as contract from '../../contract/index.ts'
import { AnswerableError, MethodNotAllowed, ValidationFailed } from '../../contract/index.ts'
import type { FieldError } from '../../contract/index.ts'
import { read } from '../../contract/thrown.ts'

export interface Problem {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: { type: string, title: string, status: number, detail: string, errors?: readonly FieldError[], requestId: string }
}

const byStatus = new Map<number, new (message: string) => AnswerableError>([
  [400, contract.BadRequest], [401, contract.Unauthorized], [403, contract.Forbidden], [404, contract.NotFound], [409, contract.Conflict],
  [413, contract.PayloadTooLarge], [415, contract.UnsupportedMediaType], [429, contract.TooManyRequests]
])

/** Returns undefined for an error that the caller must not see; the answer is then `hiddenProblem`. */
export function findProblem (thrown: unknown, requestId: string): Problem | undefined {
  if (thrown instanceof AnswerableError) return problemOf(thrown, requestId)
  if (!isExposedError(thrown)) return undefined
  const { status, message } = thrown
  if (status === 422) return problemOf(new ValidationFailed([], { message }), requestId)
  const Known = byStatus.get(status)
  if (Known !== undefined) return problemOf(new Known(message), requestId)
  // In RFC 9457 `about:blank` means that the problem says no more than its status.
  const title = STATUS_CODES[status] ?? 'Client error'
  return { status, headers: {}, body: { type: 'about:blank', title, status, detail: message, requestId } }
}

export function hiddenProblem (requestId: string): Problem {
  return {
    status: 500,
    headers: {},
    body: {
      type: 'urn:bulkhead:problem:internal',
      title: 'Internal error',
      status: 500,
      detail: `An internal error occurred; it is logged under the request id ${requestId}.`,
      requestId
    }
  }
}

function problemOf (error: AnswerableError, requestId: string): Problem {
  const { status, title, message: detail, errors } = error
  const headers: Record<string, string> = {}
  if (error.retryAfterMs !== undefined) headers['Retry-After'] = String(Math.ceil(error.retryAfterMs / 1000))
  if (error instanceof MethodNotAllowed) headers.Allow = error.allow.join(', ')
  if (status === 401) headers['WWW-Authenticate'] = 'Bearer'
  const type = `urn:bulkhead:problem:${error.code.replace(/^BULKHEAD_/, '').toLowerCase().replaceAll('_', '-')}`
  return { status, headers, body: { type, title, status, detail, ...errors === undefined ? {} : { errors }, requestId } }
}

/** True for a 4xx error of `ctx.throw` and of koa's middleware, whose message is meant for the caller. */
function isExposedError (thrown: unknown): thrown is Error & { status: number } {
  if (!(thrown instanceof Error) || read(thrown, 'expose') !== true) return false
  const status = read(thrown, 'status')
  return typeof status === 'number' && Number.isInteger(status) && status >= 400 && status < 500
}
