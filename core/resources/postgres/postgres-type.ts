// Converts values of PostgreSQL to values of JavaScript where pg's own parser loses something or returns a Date.

import { readArray } from './postgres-client.ts'

type Parse = (text: string) => unknown

const oid = { int8: 20, interval: 1186, date: 1082, timestamp: 1114, timestamptz: 1184, numeric: 1700 } as const
const arrayOid = { int8: 1016, interval: 1187, date: 1182, timestamp: 1115, timestamptz: 1185, numeric: 1231 } as const

const parsers: Record<keyof typeof oid, Parse> = {
  int8: parseInt8, interval: asText, date: asText, timestamp: parseTimestamp, timestamptz: parseTimestamp, numeric: asText
}

/** Parsers by the OID of the type and of its array type. The session must run in UTC with ISO dates. */
export const typeParsers: ReadonlyMap<number, Parse> = new Map(Object.entries(parsers).flatMap(([name, parse]) => {
  const key = name as keyof typeof oid
  return [[oid[key], parse], [arrayOid[key], text => readArray(text, parse)]] as [number, Parse][]
}))

function asText (text: string): string { return text }

function parseInt8 (text: string): number {
  const number = Number(text)
  if (!Number.isSafeInteger(number)) throw new RangeError('an int8 beyond 2^53 - 1 does not fit a number: select it as text')
  return number
}

// Matches `2026-11-23 23:50:42.123456+00`, where the fraction has as many digits as it needs. A value that no ISO
// string with a four-digit year can express (`infinity`, years BC or after 9999) stays unchanged, so that a row type
// that requires ISO 8601 refuses it by name.
const timestampPattern = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,3})\d*)?(?:\+00)?$/

export function parseTimestamp (text: string): string {
  const [, date, time, fraction = ''] = timestampPattern.exec(text) ?? []
  return date === undefined || time === undefined ? text : `${date}T${time}.${fraction.padEnd(3, '0')}Z`
}
