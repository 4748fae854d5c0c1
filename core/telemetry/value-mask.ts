// Masks the values of sensitive settings wherever they occur in text: as they are, escaped in JSON or in a URL, and within
// base64.

import type { Mask } from './mask.ts'

/** Shortest secret that is masked. A shorter one may be a common word that the text uses for something else. */
const secretLengthMin = 6

/** `secrets` may grow; it is read at each call. */
export function createValueMask (secrets: () => readonly string[]): Mask {
  let known = 0
  let search: { mayContain: (text: string) => boolean, pattern: RegExp } | undefined
  return text => {
    const values = secrets()
    if (values.length !== known) {
      known = values.length
      const forms = [...new Set(values.filter(({ length }) => length >= secretLengthMin).flatMap(formsOf))].toSorted((a, b) => b.length - a.length)
      search = forms.length === 0 ? undefined : { mayContain: createFilter(forms), pattern: new RegExp(forms.map(form => form.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')).join('|'), 'g') }
    }
    return search?.mayContain(text) === true ? text.replace(search.pattern, '[secret]') : text
  }
}

/** Number of characters at the beginning of a form that the filter looks at. */
const prefixLength = secretLengthMin

/**
 * Returns a fast test that is true for every text that contains one of the forms (Wu and Manber's search by pairs of
 * characters). Almost every log line contains none; the test then takes a tenth of the time of the pattern.
 */
function createFilter (forms: readonly string[]): (text: string) => boolean {
  const last = prefixLength - 2
  /** How far the search may move on when it meets two characters, by their hash. */
  const shifts = new Uint8Array(0x1_0000).fill(last + 1)
  const hash = (text: string, at: number): number => ((text.charCodeAt(at) << 8) ^ text.charCodeAt(at + 1)) & 0xffff
  const prefixes = new Set(forms.map(form => form.slice(0, prefixLength)))
  for (const prefix of prefixes) {
    for (let at = 0; at <= last; at++) shifts[hash(prefix, at)] = Math.min(shifts[hash(prefix, at)] ?? 0, last - at)
  }
  return text => {
    for (let at = last; at < text.length - 1;) {
      const shift = shifts[hash(text, at)] ?? 0
      if (shift === 0 && prefixes.has(text.slice(at - last, at + 2))) return true
      at += shift === 0 ? 1 : shift
    }
    return false
  }
}

function formsOf (secret: string): string[] {
  const json = (text: string): string => JSON.stringify(text).slice(1, -1)
  // A message may repeat a JSON text that holds another, and the line itself is JSON.
  const escaped = [json(secret), json(json(secret)), json(json(json(secret)))]
  const url = encodeURIComponent(secret.toWellFormed())
  const base64 = [0, 1, 2].map(offset => base64Within(secret, offset))
  return [
    secret, ...escaped, url, url.replaceAll(/%[\dA-F]{2}/g, hex => hex.toLowerCase()), new URLSearchParams([['', secret]]).toString().slice(1), encodeURI(secret.toWellFormed()),
    ...base64, ...base64.map(text => text.replaceAll('+', '-').replaceAll('/', '_'))
  ].filter(({ length }) => length >= prefixLength)
}

/**
 * Returns the base64 characters that stand for the secret alone, when `offset` bytes (modulo 3) precede it. A password is
 * often encoded together with a user name.
 */
function base64Within (secret: string, offset: number): string {
  const bytes = Buffer.concat([Buffer.alloc(offset), Buffer.from(secret)])
  return bytes.toString('base64').slice(Math.ceil(offset * 8 / 6), Math.floor(bytes.length * 8 / 6))
}
