// What the routes here take and give.

import { z } from 'bulkhead'

export const scopes = ['pipeline', 'agent', 'deploy', 'all'] as const
export type Scope = (typeof scopes)[number]
/** What a secret is used for; `all` is for every use. */
export type Use = Exclude<Scope, 'all'>

export const nameLengthMax = 128
export const Name = z.string().regex(new RegExp(`^[A-Za-z_][A-Za-z0-9_]{0,${nameLengthMax - 1}}$`),
  `It must be 1 to ${nameLengthMax} letters, digits or "_", and not begin with a digit.`)

/** However they are written. */
export const valueBytesMax = 65_536

export interface Value {
  readonly encoding: 'text' | 'base64'
  readonly value: string
}
export const bytesOf = ({ encoding, value }: Value): Buffer => Buffer.from(value, encoding === 'text' ? 'utf8' : 'base64')

function whatIsWrongWith ({ encoding, value }: Value): string | undefined {
  // Whatever it is: before anything goes through all of it.
  if (value.length > 2 * valueBytesMax) return `It must be 1 to ${valueBytesMax} bytes, and is longer.`
  if (encoding === 'base64' && !z.base64().safeParse(value).success) return 'It is not base64.'
  if (encoding === 'text' && (!value.isWellFormed() || value.includes('\0'))) return 'It is no text: send its bytes with "encoding": "base64".'
  const { length } = bytesOf({ encoding, value })
  return length > 0 && length <= valueBytesMax ? undefined : `It must be 1 to ${valueBytesMax} bytes, and has ${length}.`
}

/** Of a secret as it is: what has changed since then is not overwritten. 0: there must be none. */
export const Version = z.int().min(0).max(2_147_483_646)

export const NewValue = z.object({
  value: z.string(),
  encoding: z.enum(['text', 'base64']).default('text'),
  scope: z.enum(scopes).optional(),
  version: Version.optional()
}).check(({ value: input, issues }) => {
  const message = whatIsWrongWith(input)
  if (message !== undefined) issues.push({ code: 'custom', path: ['value'], message, input: undefined })
})
export type NewValue = z.output<typeof NewValue>

export const Page = z.object({
  limit: z.coerce.number().int().min(1).max(100).default(50),
  offset: z.coerce.number().int().min(0).max(1_000_000).default(0)
})
export type Page = z.output<typeof Page>

/** Without its value. */
export const Secret = z.object({
  id: z.uuid(),
  projectId: z.uuid().nullable(),
  name: z.string(),
  scope: z.enum(scopes),
  version: z.int(),
  writtenBy: z.uuid().nullable(),
  writtenAt: z.iso.datetime(),
  createdAt: z.iso.datetime(),
  deletedAt: z.iso.datetime().nullable()
})
export type Secret = z.output<typeof Secret>

export const SecretVersion = z.object({
  version: z.int(), scope: z.enum(scopes), writtenBy: z.uuid().nullable(), writtenAt: z.iso.datetime(), isCurrent: z.boolean()
})
export type SecretVersion = z.output<typeof SecretVersion>

export const Revealed = z.object({ name: z.string(), version: z.int(), encoding: z.enum(['text', 'base64']), value: z.string() })
export type Revealed = z.output<typeof Revealed>
