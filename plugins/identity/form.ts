// Zod schemas that several routes of this plugin share.

import { isVisible, multiLine, singleLine, storableText, z } from 'bulkhead'

export const Line = singleLine(255)
export const Text = multiLine(10_000)
/** Text of several lines that is empty or shows at least one visible character. */
export const Reason = Text.refine(text => text === '' || isVisible(text), 'It must have at least one visible character.')

/** The name of a user or a role. */
export const Name = z.string().regex(/^(?!\.)(?!.*\.\.)[A-Za-z0-9._-]{1,255}(?<!\.)$/,
  'It must be 1 to 255 letters, digits, "-", "_" or ".", without a dot at either end or two in a row.')
export const Email = singleLine(254).regex(/^[^\s@]+@[^\s@]+$/u, 'It must be an e-mail address of 3 to 254 characters.')
export const NewPassword = storableText(1_024).min(8)
/**
 * A password to check. It has no minimum length: a text that cannot be a password is answered like a wrong password.
 */
export const Password = storableText(1_024)

export const Id = z.object({ id: z.uuid() })
export const Page = z.object({
  limit: z.coerce.number().int().min(1).max(100).default(50),
  offset: z.coerce.number().int().min(0).max(1_000_000).default(0)
})
export const listOf = <Item extends z.ZodType>(item: Item) => z.object({ items: z.array(item), total: z.int() })
