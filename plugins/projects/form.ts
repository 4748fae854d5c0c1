// Zod schemas that several routes of this plugin share.

import { isVisible, multiLine, singleLine, z } from 'bulkhead'

export const Title = singleLine(500)
export const Body = multiLine(100_000)
/** The body of a comment. It must show at least one visible character, because a comment has no other content. */
export const CommentBody = Body.min(1).refine(isVisible, 'It must have at least one visible character.')

/** The name of a project. */
export const Name = z.string().regex(/^(?!\.)(?!.*\.\.)[A-Za-z0-9._-]{1,255}(?<!\.)$/,
  'It must be 1 to 255 letters, digits, "-", "_" or ".", without a dot at either end or two in a row.')

/** A branch name that git accepts (git check-ref-format --branch). */
export const Branch = singleLine(255).regex(
  /^(?!-|\/|@$|HEAD$)(?!.*(?:\.\.|\/\/|@\{|\/\.|\.lock(?:\/|$)))(?!\.)[^\x00-\x20\x7f~^:?*[\\\p{Cc}\p{Cs}]+(?<![/.])$/u,
  'It must be the name of a branch as git takes it.'
)

export const InProject = z.object({ projectId: z.uuid() })
/** The path parameters of an issue or a merge request: its project and its number. */
export const AtNumber = InProject.extend({ number: z.coerce.number().int().min(1).max(2_147_483_647) })

export const Page = z.object({
  limit: z.coerce.number().int().min(1).max(100).default(50),
  cursor: z.string().min(1).max(500).optional()
})
export type Page = z.output<typeof Page>

/** One page of a list. `total` counts the whole list, whatever the page; `nextCursor` is null on the last page. */
export const listOf = <Item extends z.ZodType>(item: Item) => z.object({ items: z.array(item), total: z.int(), nextCursor: z.string().nullable() })
export interface Listed<Item> { items: Item[], total: number, nextCursor: string | null }
