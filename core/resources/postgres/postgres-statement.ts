// Names the statements that are used repeatedly, so that each connection parses and plans them once.

export interface StatementNames {
  /** Returns undefined for a text that is new, or when the maximum number of names is in use. */
  find (text: string): string | undefined
  /**
   * Drops the name of the text. The next use has no name, later uses have a new name, and so the text gets a new plan.
   */
  forget (text: string): void
}

// Each name takes memory on every connection. A text that is built differently for each request must not use up the
// names.
const namesMax = 500

export function createStatementNames (): StatementNames {
  const names = new Map<string, string>()
  const seenOnce = new Set<string>()
  let count = 0
  return {
    find (text) {
      const name = names.get(text)
      if (name !== undefined || names.size === namesMax) return name
      if (!seenOnce.delete(text)) {
        if (seenOnce.size === namesMax) seenOnce.clear()
        seenOnce.add(text)
        return undefined
      }
      names.set(text, `s${++count}`)
      return names.get(text)
    },
    forget (text) { names.delete(text) }
  }
}

/**
 * True when a named statement failed only because it was prepared before the schema changed, or has been deallocated
 * since.
 */
export function isStale (error: unknown): boolean {
  if (!Error.isError(error) || !('code' in error)) return false
  return error.code === '26000' || (error.code === '0A000' && error.message === 'cached plan must not change result type')
}
