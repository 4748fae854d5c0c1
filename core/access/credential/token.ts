// Creates, recognises, hashes and masks tokens: session tokens, API tokens and the tokens of one-time links.
// Text that cannot be a token is recognised without the database.

import { hash, randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'

export type TokenKind = 'session' | 'token'

const sessionForm = /^plat_[0-9a-f]{64}$/
const apiTokenForm = /^plat_api_[0-9a-f]{64}[0-9a-f]{8}$/
const linkTokenForm = /^plat_link_[0-9a-f]{64}$/
const checksumLength = 8

const secret = (): string => randomBytes(32).toString('hex')

/** The CRC-32 of all text before it. A scanner for leaked secrets can recognise a real token by it, too. It proves nothing. */
const checksumOf = (text: string): string => crc32(text).toString(16).padStart(checksumLength, '0')

export const createSessionToken = (): string => `plat_${secret()}`

export function createApiToken (): string {
  const text = `plat_api_${secret()}`
  return text + checksumOf(text)
}

/** Returns undefined for a text that cannot be a token of this platform. */
export function kindOf (text: string): TokenKind | undefined {
  if (sessionForm.test(text)) return 'session'
  if (!apiTokenForm.test(text)) return undefined
  return checksumOf(text.slice(0, -checksumLength)) === text.slice(-checksumLength) ? 'token' : undefined
}

export const createLinkToken = (): string => `plat_link_${secret()}`
export const isLinkToken = (text: string): boolean => linkTokenForm.test(text)

/** It also matches a token in capitals, of a future kind, inside a word or in a URL (`%5f`), or with its end cut off. */
const anyToken = /plat(?:_|%5f)(?:[a-z]{1,16}(?:_|%5f))?[0-9a-f]{16,}/gi

/** Removes tokens from text that is stored or shown, because people paste tokens where they do not belong. */
export const maskTokens = (text: string): string => text.replaceAll(anyToken, '[secret]')

/** Only this hash of a token is stored. A token of 32 random bytes needs no slow hash. */
export const hashOf = (token: string): string => hash('sha256', token, 'hex')
