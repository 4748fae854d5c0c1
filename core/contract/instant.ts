// The zod schema of an instant that callers send. PostgreSQL can store it, and it is returned as ISO 8601 with a
// four-digit year.

import { z } from 'zod'

const earliestMs = Date.parse('0001-01-01T00:00:00Z')
const latestMs = Date.parse('9999-12-31T23:59:59Z')
const form = /^(\d{4}-\d\d-\d\dT\d\d:\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)$/
/** Limits the offset: PostgreSQL accepts no offset beyond 15:59. */
const offset = /(?:Z|[+-](?:0\d|1[0-5]):\d\d)$/
const digitsMax = 6

/**
 * Creates the schema of an ISO 8601 instant with an offset of up to ±15:59, in the years 1 to 9999. Its output is in
 * UTC.
 */
export const instant = (): z.ZodISODateTime => z.iso.datetime({ offset: true, abort: true })
  .regex(offset, { error: 'Its offset must be between -15:59 and +15:59.', abort: true })
  .refine(text => toUtc(text) !== undefined, 'It must be in the years 1 to 9999.')
  .overwrite(text => toUtc(text) ?? text)

/**
 * Converts an instant to UTC, with at most six fraction digits. Returns undefined for text that is not an instant
 * within those years.
 */
function toUtc (text: string): string | undefined {
  const [, minute, second = '00', fraction = '', zone] = form.exec(text) ?? []
  const ms = Date.parse(`${minute}:${second}${zone}`)
  if (!(ms >= earliestMs && ms <= latestMs)) return undefined
  const digits = fraction.slice(0, digitsMax)
  return `${new Date(ms).toISOString().slice(0, 19)}${digits === '' ? '' : `.${digits}`}Z`
}
