// Pages of a list that goes on changing: a page begins behind the last item of the one before, so nothing is left out or shown twice.

import { ValidationFailed, z } from 'bulkhead'
import type { Listed } from './form.ts'

/** Where a page begins: behind the item with this key. */
export interface Place<Key extends z.ZodType> {
  /** Undefined for the first page. `ValidationFailed` for what no page gave. */
  read (cursor: string | undefined): z.output<Key> | undefined
  /** `rows` holds one more than `limit` where there is another page. */
  page<Row> (rows: readonly Row[], limit: number, total: number, keyOf: (row: Row) => z.output<Key>): Listed<Row>
}

export const placeOf = <Key extends z.ZodType>(key: Key): Place<Key> => ({
  read (cursor) {
    if (cursor === undefined) return undefined
    const result = key.safeParse(parse(Buffer.from(cursor, 'base64url').toString()))
    if (result.success) return result.data
    throw new ValidationFailed([{ path: 'query.cursor', message: 'It is not from this list: send the "nextCursor" of the page before, or none.' }])
  },
  page (rows, limit, total, keyOf) {
    const items = rows.slice(0, limit)
    const last = rows.length > limit ? items.at(-1) : undefined
    return { items, total, nextCursor: last === undefined ? null : Buffer.from(JSON.stringify(keyOf(last))).toString('base64url') }
  }
})

/** By number, the newest first. */
export const byNumber = placeOf(z.int32())
/** By a moment, in microseconds as the database keeps it, and an id where there are several. */
export const byMoment = placeOf(z.tuple([z.int(), z.uuid()]))

function parse (text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

/** What a text filter looks for, as LIKE takes it: every character stands for itself. */
export const containing = (text: string | undefined): string | null =>
  text === undefined ? null : `%${text.replaceAll(/[\\%_]/g, '\\$&')}%`
