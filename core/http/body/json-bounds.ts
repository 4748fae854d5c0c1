// Limits the cost of parsing and checking a JSON text, in one pass over its bytes and before any object is built from
// it.

/** Deepest nesting of arrays and objects. */
export const depthMax = 64
/**
 * Most keys and values together. Parsing creates an object for each array and object, and checking creates an error for
 * each one that does not pass.
 */
export const tokensMax = { ofUnknownCaller: 10_000, ofKnownCaller: 100_000 } as const
export const keyBytesMax = 1_024
/** Longest number. A double has 17 significant digits; only parsers that keep every digit can use a longer literal. */
export const numberBytesMax = 128

const quote = 0x22
const backslash = 0x5c

/**
 * Returns a sentence that names the limit which the text exceeds. Undefined for a text within all limits, even if it is
 * not JSON.
 */
export function findExcess (bytes: Uint8Array, tokens: number): string | undefined {
  const end = bytes.length
  let left = tokens
  let depth = 0
  let lastTextBytes = 0
  let at = 0
  while (at < end) {
    const byte = bytes[at++] as number
    if (byte === quote) {
      const start = at
      while (at < end && bytes[at] !== quote) at += bytes[at] === backslash ? 2 : 1
      lastTextBytes = at++ - start
      left--
    } else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > depthMax) return `The body is nested deeper than ${depthMax} levels.`
      left--
    } else if (byte === 0x7d || byte === 0x5d) {
      depth--
    } else if (byte === 0x3a) {
      if (lastTextBytes > keyBytesMax) return `The body has a key of more than ${keyBytesMax} bytes.`
    } else if (isOfNumber(byte)) {
      const start = at - 1
      while (at < end && isOfNumber(bytes[at] as number)) at++
      if (at - start > numberBytesMax) return `The body has a number of more than ${numberBytesMax} characters.`
      left--
    } else if (isLetter(byte)) {
      while (at < end && isLetter(bytes[at] as number)) at++
      left--
    }
    if (left < 0) return `The body has more than ${tokens} keys and values.`
  }
  return undefined
}

/** True for a digit, a sign, a point, and the `e` before an exponent. */
const isOfNumber = (byte: number): boolean =>
  (byte >= 0x30 && byte <= 0x39) || byte === 0x2d || byte === 0x2b || byte === 0x2e || byte === 0x65 || byte === 0x45

/** True for a lower-case letter, as in `true`, `false` and `null`. */
const isLetter = (byte: number): boolean => byte >= 0x61 && byte <= 0x7a
