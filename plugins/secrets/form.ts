// Zod schemas of the requests and answers of this plugin.

import { z } from 'bulkhead'

export const scopes = ['pipeline', 'agent', 'deploy', 'all'] as const
export type Scope = (typeof scopes)[number]
/** The use of a secret; the scope `all` allows every use. */
export type Use = Exclude<Scope, 'all'>

export const nameLengthMax = 128
export const Name = z.string().regex(new RegExp(`^[A-Za-z_][A-Za-z0-9_]{0,${nameLengthMax - 1}}$`),
  `It must be 1 to ${nameLengthMax} letters, digits or "_", and not begin with a digit.`)

/** The maximum length of a value in bytes, whatever its encoding in the request. */
export const valueBytesMax = 65_536

export interface Value {
  readonly encoding: 'text' | 'base64'
  readonly value: string
}
export const bytesOf = ({ encoding, value }: Value): Buffer => Buffer.from(value, encoding === 'text' ? 'utf8' : 'base64')

function whatIsWrongWith ({ encoding, value }: Value): string | undefined {
  // This check comes before any other, so that no check reads through an oversized value.
  if (value.length > 2 * valueBytesMax) return `It must be 1 to ${valueBytesMax} bytes, and is longer.`
  if (encoding === 'base64' && !z.base64().safeParse(value).success) return 'It is not base64.'
  if (encoding === 'text' && (!value.isWellFormed() || value.includes('\0'))) return 'It is no text: send its bytes with "encoding": "base64".'
  const { length } = bytesOf({ encoding, value })
  return length > 0 && length <= valueBytesMax ? undefined : `It must be 1 to ${valueBytesMax} bytes, and has ${length}.`
}

/**
 * The version of the secret that the caller expects, so that a newer change is not overwritten. 0 means that the secret
 * must not exist.
 */
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

/** A secret without its value. */
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
