// The schema of an instant that callers send: one that PostgreSQL can store, and that comes back as ISO 8601 with a year of four digits.

import { z } from 'zod'

const earliestMs = Date.parse('0001-01-01T00:00:00Z')
const latestMs = Date.parse('9999-12-31T23:59:59Z')
const form = /^(\d{4}-\d\d-\d\dT\d\d:\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)$/
/** PostgreSQL takes no offset beyond 15:59, and rounds what is smaller than a microsecond, which may lead into the year 10000. */
const offset = /(?:Z|[+-](?:0\d|1[0-5]):\d\d)$/
const digitsMax = 6

/** ISO 8601 with an offset of up to ±15:59, in the years 1 to 9999; given in UTC. */
export const instant = (): z.ZodISODateTime => z.iso.datetime({ offset: true, abort: true })
  .regex(offset, { error: 'Its offset must be between -15:59 and +15:59.', abort: true })
  .refine(text => toUtc(text) !== undefined, 'It must be in the years 1 to 9999.')
  .overwrite(text => toUtc(text) ?? text)

/** Undefined for what is no instant within those years. */
function toUtc (text: string): string | undefined {
  const [, minute, second = '00', fraction = '', zone] = form.exec(text) ?? []
  const ms = Date.parse(`${minute}:${second}${zone}`)
  if (!(ms >= earliestMs && ms <= latestMs)) return undefined
  const digits = fraction.slice(0, digitsMax)
  return `${new Date(ms).toISOString().slice(0, 19)}${digits === '' ? '' : `.${digits}`}Z`
}
