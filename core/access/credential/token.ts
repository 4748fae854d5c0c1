// The two kinds of token a caller may show, and that of a one-time link: how they are made, told from anything else without the database, stored,
// and masked.

import { hash, randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'

export type TokenKind = 'session' | 'token'

const sessionForm = /^plat_[0-9a-f]{64}$/
const apiTokenForm = /^plat_api_[0-9a-f]{64}[0-9a-f]{8}$/
const linkTokenForm = /^plat_link_[0-9a-f]{64}$/
const checksumLength = 8

const secret = (): string => randomBytes(32).toString('hex')

/** CRC-32 of everything before it, so that a scanner for leaked secrets can tell a real one, too. It proves nothing. */
const checksumOf = (text: string): string => crc32(text).toString(16).padStart(checksumLength, '0')

export const createSessionToken = (): string => `plat_${secret()}`

export function createApiToken (): string {
  const text = `plat_api_${secret()}`
  return text + checksumOf(text)
}

/** Undefined for a text that cannot be a token of ours. */
export function kindOf (text: string): TokenKind | undefined {
  if (sessionForm.test(text)) return 'session'
  if (!apiTokenForm.test(text)) return undefined
  return checksumOf(text.slice(0, -checksumLength)) === text.slice(-checksumLength) ? 'token' : undefined
}

export const createLinkToken = (): string => `plat_link_${secret()}`
export const isLinkToken = (text: string): boolean => linkTokenForm.test(text)

/** Also one of capitals, of a kind to come, inside a word or in a URL, and all but the end of one. */
const anyToken = /plat(?:_|%5f)(?:[a-z]{1,16}(?:_|%5f))?[0-9a-f]{16,}/gi

/** The text without tokens, for whatever is kept or shown: people paste them where they do not belong. */
export const maskTokens = (text: string): string => text.replaceAll(anyToken, '[secret]')

/** All that is kept of a token. 32 random bytes need no slow hash. */
export const hashOf = (token: string): string => hash('sha256', token, 'hex')
