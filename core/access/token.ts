// The two kinds of token a caller may show: how they are made, told from anything else without the database, and stored.

import { hash, randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'

export type TokenKind = 'session' | 'token'

const sessionForm = /^plat_[0-9a-f]{64}$/
const apiTokenForm = /^plat_api_[0-9a-f]{64}[0-9a-f]{8}$/
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

/** All that is kept of a token. 32 random bytes need no slow hash. */
export const hashOf = (token: string): string => hash('sha256', token, 'hex')
