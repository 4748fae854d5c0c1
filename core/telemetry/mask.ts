// Masks secrets in log lines: facts with a secret name at any depth, and passwords and tokens in any text. Of an error
// it logs only known facts.

const secretName = /(?:password|passwd|secret|token|authorization|cookie|credential|(?:api|master|private|secret|access|encryption)[-_]?key)s?$/i

/** Deepest level of facts that is logged. Deeper ones are left out, because a log line is not a dump. */
const deepest = 6

/**
 * Returns a copy in which every fact with a secret name reads `[secret]`, or the same object when nothing had to
 * change.
 */
export function maskSecrets (facts: Record<string, unknown>, depth = 0): Record<string, unknown> {
  let masked: Record<string, unknown> | undefined
  for (const [name, value] of Object.entries(facts)) {
    const shown = secretName.test(name) && value !== undefined && value !== null ? '[secret]' : mask(value, depth)
    if (shown !== value) (masked ??= { ...facts })[name] = shown
  }
  return masked ?? facts
}

function mask (value: unknown, depth: number): unknown {
  if (value instanceof Error) return errorFacts(value, depth)
  if (typeof value !== 'object' || value === null) return value
  if (depth >= deepest) return '[deep]'
  if (Array.isArray(value)) {
    const items = value.map(item => mask(item, depth + 1))
    return items.some((item, at) => item !== value[at]) ? items : value
  }
  return isPlain(value) ? maskSecrets(value, depth + 1) : value
}

/** False for dates, buffers and other class instances, which define themselves how they are serialized. */
function isPlain (value: object): value is Record<string, unknown> {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/**
 * Properties of an error that are logged besides its message. Other properties from a driver may hold rows and
 * parameters.
 */
const toldFacts = ['code', 'errno', 'syscall', 'address', 'port', 'path', 'status', 'severity', 'schema', 'table', 'column', 'constraint'] as const

/** Returns an error as facts, with its causes. Any other thrown value is masked like a fact. */
function errorFacts (thrown: unknown, depth = 0): unknown {
  if (!(thrown instanceof Error)) return mask(thrown, depth)
  if (depth >= deepest) return { type: thrown.name, message: thrown.message }
  const facts = thrown as unknown as Record<string, unknown>
  return {
    type: thrown.name,
    message: thrown.message,
    ...Object.fromEntries(toldFacts.flatMap(name => typeof facts[name] === 'string' || typeof facts[name] === 'number' ? [[name, facts[name]]] : [])),
    ...thrown.stack === undefined ? {} : { stack: thrown.stack },
    ...thrown instanceof AggregateError ? { errors: thrown.errors.map(error => errorFacts(error, depth + 1)) } : {},
    ...thrown.cause === undefined ? {} : { cause: errorFacts(thrown.cause, depth + 1) }
  }
}

/** Shortest secret that is masked. A shorter one may be a common word that the text uses for something else. */
const secretLengthMin = 6

/** Masks each of these values wherever it occurs in the text. */
export const maskValues = (text: string, secrets: readonly string[]): string => secrets
  .filter(({ length }) => length >= secretLengthMin).toSorted((a, b) => b.length - a.length)
  .reduce((masked, secret) => masked.replaceAll(secret, '[secret]'), text)

/**
 * Masks the password in URLs such as `postgres://user:password@host`, wherever a driver or a person put one into a
 * line.
 */
export const maskPasswords = (line: string): string =>
  line.includes('://') ? line.replaceAll(/(\w:\/\/[^\s:/@"]*):[^\s/"]+@/g, '$1:[secret]@') : line

/**
 * Tokens of sessions, API tokens and links of this host. They also match in capitals, in part or inside a URL, because
 * callers paste them into the wrong places.
 */
const anyToken = /plat(?:_|%5f)(?:[a-z]{1,16}(?:_|%5f))?[0-9a-f]{16,}/gi

export const maskTokens = (line: string): string => line.replaceAll(anyToken, '[secret]')
