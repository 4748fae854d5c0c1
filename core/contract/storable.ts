// Finds text within JSON that PostgreSQL does not store: a NUL character, or half of a surrogate pair.

export interface Unstorable {
  /** Dotted: `user.names.0`. Empty when it is the value itself. */
  readonly path: string
  /** Continues a sentence about what stands there. */
  readonly fault: string
}

/** JSON writes both as an escape, and so almost all JSON is passed over at once; a backslash before it may still make it harmless. */
const suspect = /\\u(?:0000|d[89a-f])/

/** `json` is what JSON.stringify gave. */
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

/** Undefined for text that can be stored. */
export function faultOf (text: string): string | undefined {
  if (text.includes('\0')) return 'a NUL character, which the database cannot store'
  return text.isWellFormed() ? undefined : 'half of a surrogate pair, which the database cannot store'
}
