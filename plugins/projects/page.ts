// Pages of a list that keeps changing. Each page begins after the last item of the previous one, so that no item is
// skipped or repeated.

import { ValidationFailed, z } from 'bulkhead'
import type { Listed } from './form.ts'

/** Encodes and decodes the start of a page: the key of the last item before it. */
export interface Place<Key extends z.ZodType> {
  /**
   * Decodes a cursor. Returns undefined for the first page. Throws `ValidationFailed` for a cursor that does not come
   * from this list.
   */
  read (cursor: string | undefined): z.output<Key> | undefined
  /** Makes a page of rows. `rows` has one more than `limit` when there is another page. */
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

/** Pages ordered by number, newest first. */
export const byNumber = placeOf(z.int32())
/** Pages ordered by a time in microseconds, the database's precision, and by an id for equal times. */
export const byMoment = placeOf(z.tuple([z.int(), z.uuid()]))

function parse (text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

/** Converts a text filter to a LIKE pattern in which every character stands for itself. */
export const containing = (text: string | undefined): string | null =>
  text === undefined ? null : `%${text.replaceAll(/[\\%_]/g, '\\$&')}%`
