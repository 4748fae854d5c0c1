// Finds text in JSON that PostgreSQL cannot store: a NUL character, or half of a surrogate pair.

export interface Unstorable {
  /** The dotted path of the value: `user.names.0`. It is empty when the fault is in the top-level value. */
  readonly path: string
  /** The fault, as the end of a sentence that begins with the path. */
  readonly fault: string
}

/**
 * Matches the escapes by which JSON writes both. Almost all JSON does not match and needs no further check. A match may
 * still be harmless, because a backslash may precede it.
 */
const suspect = /\\u(?:0000|d[89a-f])/

/** Finds the first fault. `json` is the output of JSON.stringify. */
export function findUnstorable (json: string): Unstorable | undefined {
  if (!suspect.test(json)) return undefined
  const left: { path: readonly string[], value: unknown }[] = [{ path: [], value: JSON.parse(json) as unknown }]
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    const { path, value } = next
    if (typeof value === 'string') {
      const fault = faultOf(value)
      if (fault !== undefined) return { path: path.join('.'), fault: `holds ${fault}` }
    } else if (typeof value === 'object' && value !== null) {
      for (const [key, inner] of Object.entries(value)) {
        const fault = faultOf(key)
        if (fault !== undefined) return { path: path.join('.'), fault: `has a key with ${fault}` }
        left.push({ path: [...path, key], value: inner })
      }
    }
  }
  return undefined
}

/** Names the fault of the text; undefined for text that can be stored. */
export function faultOf (text: string): string | undefined {
  if (text.includes('\0')) return 'a NUL character, which the database cannot store'
  return text.isWellFormed() ? undefined : 'half of a surrogate pair, which the database cannot store'
}
