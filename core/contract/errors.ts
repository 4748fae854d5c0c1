// The catalogue of all errors that reach a caller. Any other error becomes a 500 that reveals nothing about the host.

/** One invalid field. `path` is dotted and begins with the part of the request (`body.title`, `query.limit`). */
export interface FieldError {
  path: string
  message: string
}

export interface ErrorOptions {
  /** The underlying error. It is logged, never sent. */
  cause?: unknown
  /** Sent as `Retry-After`, in whole seconds, rounded up. */
  retryAfterMs?: number
}

/**
 * An error with an HTTP answer. The host sends `status` and `message` to the caller as RFC 9457 problem details, so the
 * message must contain nothing that the caller may not know.
 */
export abstract class AnswerableError extends Error {
  abstract readonly status: number
  abstract readonly code: string
  abstract readonly title: string
  readonly errors?: readonly FieldError[]
  readonly retryAfterMs: number | undefined

  constructor (message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = new.target.name
    this.retryAfterMs = options.retryAfterMs
  }
}

export class BadRequest extends AnswerableError {
  readonly status = 400
  readonly code = 'BULKHEAD_BAD_REQUEST'
  readonly title = 'Bad request'
}

export class Unauthorized extends AnswerableError {
  readonly status = 401
  readonly code = 'BULKHEAD_UNAUTHORIZED'
  readonly title = 'Not signed in'
}

export class Forbidden extends AnswerableError {
  readonly status = 403
  readonly code = 'BULKHEAD_FORBIDDEN'
  readonly title = 'Not permitted'
}

/** Also the answer for a private resource that the caller may not see. */
export class NotFound extends AnswerableError {
  readonly status = 404
  readonly code = 'BULKHEAD_NOT_FOUND'
  readonly title = 'Not found'
}

export class MethodNotAllowed extends AnswerableError {
  readonly status = 405
  readonly code = 'BULKHEAD_METHOD_NOT_ALLOWED'
  readonly title = 'Method not allowed'
  readonly allow: readonly string[]

  constructor (message: string, allow: readonly string[], options: ErrorOptions = {}) {
    super(message, options)
    this.allow = allow
  }
}

export class Conflict extends AnswerableError {
  readonly status = 409
  readonly code = 'BULKHEAD_CONFLICT'
  readonly title = 'Conflict'
}

export class PayloadTooLarge extends AnswerableError {
  readonly status = 413
  readonly code = 'BULKHEAD_PAYLOAD_TOO_LARGE'
  readonly title = 'Payload too large'
}

export class UnsupportedMediaType extends AnswerableError {
  readonly status = 415
  readonly code = 'BULKHEAD_UNSUPPORTED_MEDIA_TYPE'
  readonly title = 'Unsupported media type'
}

export class ValidationFailed extends AnswerableError {
  readonly status = 422
  readonly code = 'BULKHEAD_VALIDATION_FAILED'
  readonly title = 'Validation failed'
  override readonly errors: readonly FieldError[]

  constructor (errors: readonly FieldError[], options: ErrorOptions & { message?: string } = {}) {
    super(options.message ?? (errors.length === 1 ? 'One field did not pass.' : `${errors.length} fields did not pass.`), options)
    this.errors = errors
  }
}

export class TooManyRequests extends AnswerableError {
  readonly status = 429
  readonly code = 'BULKHEAD_TOO_MANY_REQUESTS'
  readonly title = 'Too many requests'
}

/** A system behind the host sent an answer that the host could not use. */
export class BadGateway extends AnswerableError {
  readonly status = 502
  readonly code = 'BULKHEAD_BAD_GATEWAY'
  readonly title = 'Bad gateway'
}

/** A system that the request needs is unavailable, overloaded or past its deadline. A retry may succeed. */
export class ServiceUnavailable extends AnswerableError {
  readonly status = 503
  readonly code = 'BULKHEAD_SERVICE_UNAVAILABLE'
  readonly title = 'Service unavailable'
}
