// Seals and opens envelopes with AES-256-GCM. Each plugin has keys of its own, derived from the master keys.

import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, randomBytes, type KeyObject } from 'node:crypto'
import { SealBroken } from '../contract/index.ts'

const version = 1
const keyIdBytes = 8
const nonceBytes = 12
const tagBytes = 16
const headBytes = 1 + keyIdBytes + nonceBytes
const options = { authTagLength: tagBytes } as const
const algorithm = 'aes-256-gcm'

/**
 * Derives a key from the master key for one purpose, by HKDF-SHA-256. There are three reasons:
 * - The master key itself encrypts nothing, because one key serves one algorithm only.
 * - Random nonces of 12 bytes are good for 2³² envelopes per key. Plugins do not share this number.
 * - An envelope of one plugin does not open under the key of another.
 */
const derive = (masterKey: Buffer, purpose: string, bytes: number): Buffer =>
  Buffer.from(hkdfSync('sha256', masterKey, '', `bulkhead ${purpose}`, bytes))

/** Returns the id of a key: 16 hexadecimal digits, which reveal nothing of the key. */
export const keyIdOf = (masterKey: Buffer): string => derive(masterKey, 'key id', keyIdBytes).toString('hex')

export interface Envelopes {
  /** The id of the key that seals. */
  readonly keyId: string
  seal (plain: Uint8Array | string, context: readonly string[]): Buffer
  /** Throws `SealBroken` when the envelope cannot be opened. */
  open (envelope: Uint8Array, context: readonly string[]): Buffer
}

/** Makes the envelopes of one plugin. The first key seals; all keys open. */
export function createEnvelopes (plugin: string, [current, ...others]: readonly [Buffer, ...Buffer[]]): Envelopes {
  const keyId = keyIdOf(current)
  const keys = new Map([current, ...others].map(key => [keyIdOf(key), createSecretKey(derive(key, `envelopes of ${plugin}`, 32))]))
  const sealing = keys.get(keyId) as KeyObject

  return {
    keyId,
    seal (plain, context) {
      const nonce = randomBytes(nonceBytes)
      const cipher = createCipheriv(algorithm, sealing, nonce, options).setAAD(associate(plugin, keyId, context))
      const content = cipher.update(typeof plain === 'string' ? Buffer.from(plain) : plain)
      return Buffer.concat([Buffer.of(version), Buffer.from(keyId, 'hex'), nonce, content, cipher.final(), cipher.getAuthTag()])
    },
    open (envelope, context) {
      const bytes = Buffer.from(envelope.buffer, envelope.byteOffset, envelope.byteLength)
      if (bytes.length < headBytes + tagBytes) throw new SealBroken(`An envelope has at least ${headBytes + tagBytes} bytes, this has ${bytes.length}.`)
      if (bytes[0] !== version) throw new SealBroken(`This is not an envelope, or it is one of version ${bytes[0] ?? 0}, which this host does not know.`)
      const id = bytes.toString('hex', 1, 1 + keyIdBytes)
      const key = keys.get(id)
      if (key === undefined) {
        throw new SealBroken(`The envelope is under the master key ${id}, and this host has ${[...keys.keys()].join(' and ')}. ` +
          'If that was a key of this platform, set PLATFORM_MASTER_KEY_PREVIOUS to it.')
      }
      const decipher = createDecipheriv(algorithm, key, bytes.subarray(1 + keyIdBytes, headBytes), options)
        .setAAD(associate(plugin, id, context)).setAuthTag(bytes.subarray(-tagBytes))
      // The content must not be used before `final` has checked the tag.
      const content = decipher.update(bytes.subarray(headBytes, -tagBytes))
      try {
        return Buffer.concat([content, decipher.final()])
      } catch (cause) {
        content.fill(0)
        throw new SealBroken('The envelope was changed, or it belongs to something else.', { cause })
      }
    }
  }
}

/** Writes each part with its length before it, so that no two lists give the same bytes. */
function associate (plugin: string, keyId: string, context: readonly string[]): Buffer {
  if (context.length === 0) throw new TypeError('The context is empty: name what the envelope belongs to, so that it cannot be exchanged with another')
  return Buffer.concat(['bulkhead envelope', String(version), keyId, plugin, ...context].flatMap(part => {
    // `Buffer.from` would write every lone surrogate as the same bytes.
    if (typeof part !== 'string' || !part.isWellFormed()) throw new TypeError('The context must be strings of well-formed Unicode')
    const bytes = Buffer.from(part)
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bytes.length)
    return [length, bytes]
  }))
}
