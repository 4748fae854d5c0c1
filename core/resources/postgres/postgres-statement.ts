// Gives names to the statements that are asked again and again, so that each connection parses and plans them once.

export interface StatementNames {
  /** Undefined for a text that is new, or when there are names enough. */
  find (text: string): string | undefined
  /** The next use of the text gets another name, and so another plan. */
  forget (text: string): void
}

// Each name is memory on every connection; a text that is put together anew for each request must not use them up.
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

/** Whether a named statement failed only because it was prepared before the schema changed, or has been deallocated since. */
export function isStale (error: unknown): boolean {
  if (!Error.isError(error) || !('code' in error)) return false
  return error.code === '26000' || (error.code === '0A000' && error.message === 'cached plan must not change result type')
}
