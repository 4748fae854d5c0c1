// Checks the keys of objects: a valid key means the same in a bucket and in a folder, and stays inside both.

import { BadRequest } from '../../contract/index.ts'

const keyBytes = 1_024

/** Throws `BadRequest` with the rule that was broken. The key includes the prefix of its plugin, which counts. */
export function checkStorageKey (key: string): void {
  const broken = brokenRule(key, key.split('/'))
  if (broken !== undefined) throw new BadRequest(`This is not a valid object key: it ${broken}.`)
}

/** A prefix is the beginning of keys, so it may be empty and may end with a slash. */
export function checkStoragePrefix (prefix: string): void {
  const segments = prefix.split('/')
  if (segments.at(-1) === '') segments.pop()
  const broken = brokenRule(prefix, segments)
  if (broken !== undefined) throw new BadRequest(`This is not a valid key prefix: it ${broken}.`)
}

function brokenRule (key: string, segments: string[]): string | undefined {
  if (Buffer.byteLength(key) > keyBytes) return `is longer than ${keyBytes} bytes`
  if (segments.includes('')) return 'is empty, begins or ends with a slash, or has two in a row'
  if (segments.includes('.') || segments.includes('..')) return 'has a segment "." or ".."'
  if (/[\\\p{Cc}]/u.test(key)) return 'holds a backslash or a control character'
  // Half a surrogate pair has no UTF-8 form. Two spellings of one letter would be two objects in one place and one
  // object in another.
  if (!key.isWellFormed() || key.normalize('NFC') !== key) return 'is not Unicode text in normal form C'
  // The client trims its paths, so ' a' and 'a' would be one object.
  if (key.trim() !== key) return 'begins or ends with white space'
  return undefined
}
