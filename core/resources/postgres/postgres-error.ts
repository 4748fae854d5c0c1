// Maps errors of PostgreSQL to the error catalogue. An error that has no place there is passed on unchanged and becomes
// a 500.

import { Conflict, NotFound, ServiceUnavailable, ValidationFailed } from '../../contract/index.ts'
import { BackendTerminatedError, ConnectionError, NotFoundError } from './postgres-pool.ts'

/** An error of the server: its fields in addition to the message. */
interface ServerError extends Error { code: string, column?: string, table?: string, constraint?: string }

const retryAfterMs = 1_000

/** True for an error after which slonik runs the transaction again, so slonik must see it unchanged. */
export const isRetried = (error: unknown): boolean => isServerError(error) && error.code.startsWith('40')

export function toAnswerable (error: unknown): unknown {
  if (error instanceof NotFoundError) return new NotFound('There is no such record.', { cause: error })
  if (error instanceof ConnectionError || error instanceof BackendTerminatedError) return away(error)
  return isServerError(error) ? answers.find(({ codes }) => codes.test(error.code))?.answer(error) ?? error : error
}

const isServerError = (error: unknown): error is ServerError => Error.isError(error) && 'code' in error && typeof error.code === 'string'

export const away = (cause?: Error) => new ServiceUnavailable('The database does not answer at the moment. Try again later.', { cause, retryAfterMs })
const busy = (cause: Error) => new ServiceUnavailable('The database did not answer in time. Try again later.', { cause, retryAfterMs })

const answers: readonly { codes: RegExp, answer: (error: ServerError) => Error }[] = [
  { codes: /^(23505|23P01)$/, answer: cause => new Conflict('There is one like it already.', { cause }) },
  // 23001 is the server's code for a RESTRICT since PostgreSQL 18.
  { codes: /^(23503|23001)$/, answer: cause => new Conflict('It refers to something that is not there, or something else refers to it.', { cause }) },
  { codes: /^23502$/, answer: invalid('is missing') },
  { codes: /^23514$/, answer: invalid('is not allowed') },
  { codes: /^22001$/, answer: invalid('is too long') },
  { codes: /^(22003|22008)$/, answer: invalid('is out of range') },
  { codes: /^(22P02|22007)$/, answer: invalid('is malformed') },
  // These codes mean a NUL in a text, or half a surrogate pair in JSON.
  { codes: /^(22021|22P05)$/, answer: invalid('holds a character that cannot be stored') },
  // All other refusals of a value: offsets and names of time zones, intervals, casts, escapes, patterns, limits,
  // subscripts, JSON, XML. No schema should let such a value come this far, so `core/http` logs it. A division by zero
  // and similar errors are mistakes in the code and stay unchanged.
  { codes: /^22(?:009|015|018|019|00D|00[LMNST]|01[BWX]|023|024|025|026|02E|03.|P0[346])$/, answer: invalid('is not valid') },
  // The value does not fit in any index or page.
  { codes: /^54000$/, answer: invalid('is too large') },
  { codes: /^(57014|55P03)$/, answer: busy },
  // The transaction lost against others, and so did every retry. The same request may pass later.
  { codes: /^40...$/, answer: busy },
  // These codes mean: connection error; the server became a standby; too long in a transaction; out of connections,
  // memory or disk; shutdown.
  { codes: /^(08...|25006|25P0[34]|53...|57P..)$/, answer: away }
]

function invalid (fault: string): (error: ServerError) => Error {
  return cause => {
    const column = findColumn(cause)
    return new ValidationFailed(column === undefined ? [] : [{ path: column, message: `${fault}.` }], { cause, message: `A value ${fault}.` })
  }
}

// For a check, the server names only the constraint. Postgres names an unnamed check of a column
// `<table>_<column>_check`.
function findColumn ({ column, table, constraint }: ServerError): string | undefined {
  if (column !== undefined || table === undefined || constraint === undefined) return column
  return constraint.startsWith(`${table}_`) ? /^(.+)_check\d*$/.exec(constraint.slice(table.length + 1))?.[1] : undefined
}
