// Encrypts and decrypts the value of a secret: one byte for its encoding, then its bytes. The envelope is bound to the
// secret, its version and its scope.

import { SealBroken, type Encryption } from 'bulkhead'
import { bytesOf, type Scope, type Value } from './form.ts'

/** The context of an envelope. In another row, or as another version, it cannot be opened. */
export interface Place {
  readonly id: string
  readonly projectId: string | null
  readonly name: string
  readonly scope: Scope
  readonly version: number
}

const encodings = ['text', 'base64'] as const

const contextOf = ({ id, projectId, name, scope, version }: Place): string[] => [id, projectId ?? '', name, String(version), scope]

export const sealValue = (encryption: Encryption, value: Value, place: Place): Buffer =>
  encryption.seal(Buffer.concat([Buffer.of(encodings.indexOf(value.encoding)), bytesOf(value)]), contextOf(place))

/** Decrypts a value. Throws a `SealBroken` whose message names the secret. */
export function openValue (encryption: Encryption, envelope: Buffer, place: Place): Value {
  const bytes = openBytes(encryption, envelope, place)
  const encoding = encodings[bytes[0] ?? -1]
  if (encoding === undefined) throw new SealBroken(`${describe(place)} holds no value that this version of the plugin knows.`)
  return { encoding, value: bytes.toString(encoding === 'text' ? 'utf8' : 'base64', 1) }
}

/** Encrypts the value again, under the current key. */
export const sealAnew = (encryption: Encryption, envelope: Buffer, place: Place): Buffer =>
  encryption.seal(openBytes(encryption, envelope, place), contextOf(place))

function openBytes (encryption: Encryption, envelope: Buffer, place: Place): Buffer {
  try {
    return encryption.open(envelope, contextOf(place))
  } catch (cause) {
    if (!(cause instanceof SealBroken)) throw cause
    throw new SealBroken(`${describe(place)} cannot be opened: ${cause.message}`, { cause })
  }
}

const describe = ({ projectId, name, version }: Place): string =>
  `Version ${version} of the secret "${name}" of ${projectId === null ? 'the platform' : `project ${projectId}`}`
