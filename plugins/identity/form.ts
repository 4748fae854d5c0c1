// What the routes here take and give, as far as several of them do.

import { z } from 'bulkhead'

const plain = (max: number): z.ZodString =>
  z.string().max(max).regex(/^[^\p{Cc}\p{Cs}]*$/u, 'There must be no control characters in it.')

/** A line of text. */
export const Line = plain(255).min(1)
/** Text of several lines. */
export const Text = z.string().max(10_000).regex(/^(?:[^\p{Cc}\p{Cs}]|[\t\n\r])*$/u, 'There must be no control characters in it but tabs and line breaks.')

/** Of a user or a role. */
export const Name = z.string().regex(/^(?!\.)(?!.*\.\.)[A-Za-z0-9._-]{1,255}(?<!\.)$/,
  'It must be 1 to 255 letters, digits, "-", "_" or ".", without a dot at either end or two in a row.')
export const Email = z.string().regex(/^(?=.{3,254}$)[^\s@\p{Cc}\p{Cs}]+@[^\s@\p{Cc}\p{Cs}]+$/u, 'It must be an e-mail address of 3 to 254 characters.')
export const NewPassword = z.string().min(8).max(1_024)

export const Id = z.object({ id: z.uuid() })
export const Page = z.object({
  limit: z.coerce.number().int().min(1).max(100).default(50),
  offset: z.coerce.number().int().min(0).max(1_000_000).default(0)
})
export const listOf = <Item extends z.ZodType>(item: Item) => z.object({ items: z.array(item), total: z.int() })
