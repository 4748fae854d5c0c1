// Maps errors of the Kubernetes client to the error catalogue.

import { DeadlinePassed } from '../../concurrency/deadline.ts'
import { AnswerableError, BadGateway, BadRequest, Conflict, Forbidden, NotFound, ServiceUnavailable, TooManyRequests } from '../../contract/index.ts'
import { SystemSilent } from '../pulse.ts'

const retryAfterMs = 1_000

/** The client's `ApiException`: the cluster answered, but the answer is not a success. */
interface Answer extends Error {
  code: number
  headers: Record<string, string>
}

export function isAnswer (error: unknown): error is Answer {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' && 'headers' in error
}

/** True when the error means that the cluster did not answer. `fetch` hides the reason one or two causes deep. */
export function isNoAnswer (error: unknown): boolean {
  return error instanceof DeadlinePassed || error instanceof SystemSilent || (error instanceof TypeError && error.cause instanceof Error)
}

export function mapKubernetesError (cause: unknown): AnswerableError {
  if (cause instanceof AnswerableError) return cause
  // The client throws this error when it cannot encode a name for the path.
  if (cause instanceof URIError) return new BadRequest('A name of a Kubernetes object must be well-formed text, without half a surrogate pair.', { cause })
  if (isNoAnswer(cause)) return new ServiceUnavailable('The Kubernetes cluster does not answer.', { cause, retryAfterMs })
  switch (isAnswer(cause) ? cause.code : undefined) {
    case 401: return new BadGateway('The Kubernetes cluster refused the credentials of the host.', { cause })
    case 403: return new Forbidden('The host is not permitted to do this in the Kubernetes cluster.', { cause })
    case 404: return new NotFound('There is no such object in the Kubernetes cluster.', { cause })
    case 409: return new Conflict('The object in the Kubernetes cluster exists already, or has changed meanwhile.', { cause })
    case 429: return new TooManyRequests('The Kubernetes cluster is overloaded.', { cause, ...retryAfter(cause as Answer) })
  }
  return new BadGateway('The Kubernetes cluster answered in an unexpected way.', { cause })
}

export function retryAfter ({ headers }: Answer): { retryAfterMs?: number } {
  const seconds = Number(headers['retry-after'])
  return seconds > 0 ? { retryAfterMs: seconds * 1_000 } : {}
}

/**
 * Describes the innermost cause: it says what happened, while the errors around it only say that something happened.
 */
export function reasonOf (error: unknown): string {
  let reason = error
  while (reason instanceof Error && reason.cause instanceof Error) reason = reason.cause
  if (isAnswer(reason)) return `it answered ${reason.code}`
  return reason instanceof Error && reason.message !== '' ? reason.message : String((reason as NodeJS.ErrnoException).code ?? reason)
}
