// Keeps secrets out of log lines: by the name of a fact at any depth, and in what an error says.

const secretName = /(?:password|passwd|secret|token|authorization|cookie|credential|(?:api|master|private|secret|access|encryption)[-_]?key)s?$/i

/** Facts deeper than this are left out: a log line is not a dump. */
const deepest = 6

/** A copy in which every fact with a secret name reads `[secret]`; the same object when there is none. */
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

/** Dates, buffers and the like say themselves how they are written. */
function isPlain (value: object): value is Record<string, unknown> {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** What is told of an error beside its message; a driver's other properties may hold rows and parameters. */
const toldFacts = ['code', 'errno', 'syscall', 'address', 'port', 'path', 'status', 'severity', 'schema', 'table', 'column', 'constraint'] as const

/** An error as facts, with what caused it; anything else that was thrown as what it is. */
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

/** Shorter ones are words that other things are called, too. */
const secretLengthMin = 6

/** Every one of these values, wherever it stands. */
export const maskValues = (text: string, secrets: readonly string[]): string => secrets
  .filter(({ length }) => length >= secretLengthMin).toSorted((a, b) => b.length - a.length)
  .reduce((masked, secret) => masked.replaceAll(secret, '[secret]'), text)

/** `postgres://user:password@host` and the like, wherever a driver or a person put one into a line. */
export const maskPasswords = (line: string): string =>
  line.includes('://') ? line.replaceAll(/(\w:\/\/[^\s:/@"]*):[^\s/"]+@/g, '$1:[secret]@') : line

/** Sessions, API tokens and links of the host, in capitals, in part or in a URL, too: callers paste them where they do not belong. */
const anyToken = /plat(?:_|%5f)(?:[a-z]{1,16}(?:_|%5f))?[0-9a-f]{16,}/gi

export const maskTokens = (line: string): string => line.replaceAll(anyToken, '[secret]')
