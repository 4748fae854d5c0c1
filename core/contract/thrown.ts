// Reads thrown values. Plugin code may throw anything: an error with a throwing getter, a Symbol as its message, a
// revoked proxy, text that the database cannot store. Nothing in this file throws or calls a method of the value.

const same = (text: string): string => text

/** Most characters of a message, and of a stack. */
const messageMax = 4_000
const stackMax = 8_000
const nameMax = 200
/** Most inner errors of an AggregateError, and most levels of them, that are described. */
const innerMax = 10
const levelsMax = 4

/**
 * Properties of an error that may be logged besides its message. Other properties from a driver may hold rows and
 * parameters.
 */
const factNames = ['code', 'errno', 'syscall', 'address', 'port', 'path', 'status', 'severity', 'schema', 'table', 'column', 'constraint'] as const

/** The contents of an error as plain data: bounded, well-formed text without NUL. */
export interface Thrown {
  readonly type: string
  readonly message: string
  readonly stack: string | undefined
  readonly facts: Readonly<Partial<Record<(typeof factNames)[number], string | number>>>
  /** The cause and the inner errors as they are. The caller reads them with the same functions. */
  readonly cause: unknown
  readonly errors: readonly unknown[]
}

/** Returns the contents of an error, or undefined when the value is not an error. `mask` is that of `boundText`. */
export function readError (thrown: unknown, mask = same): Thrown | undefined {
  if (!isError(thrown)) return undefined
  const bound = (text: string, max: number): string => boundText(text, max, mask)
  const name = read(thrown, 'name')
  const stack = read(thrown, 'stack')
  const errors = read(thrown, 'errors')
  return {
    type: typeof name === 'string' && name !== '' ? bound(name, nameMax) : 'Error',
    message: bound(describeValue(read(thrown, 'message')), messageMax),
    stack: typeof stack === 'string' ? bound(stack, stackMax) : undefined,
    facts: Object.fromEntries(factNames.flatMap(fact => {
      const value = read(thrown, fact)
      return typeof value === 'number' || typeof value === 'string' ? [[fact, typeof value === 'string' ? bound(value, nameMax) : value]] : []
    })),
    cause: read(thrown, 'cause'),
    errors: isArray(errors) ? firstOf(errors) : []
  }
}

/** Describes any thrown value in words for people: the message of an error, or else what was thrown. */
export function describeThrown (thrown: unknown, level = 0): string {
  const error = readError(thrown)
  if (error === undefined) {
    const message = typeof thrown === 'object' && thrown !== null ? read(thrown, 'message') : undefined
    return boundText(`threw ${describeValue(thrown, '"')}${typeof message === 'string' ? ` with the message "${message}"` : ''}, which is not an Error`, messageMax)
  }
  if (error.message !== '') return error.message
  // A refused connection to a name with two addresses is an AggregateError without a message.
  if (error.errors.length > 0 && level < levelsMax) return boundText(error.errors.map(inner => describeThrown(inner, level + 1)).join('; '), messageMax)
  return String(error.facts.code ?? error.type)
}

/**
 * Returns an Error for any thrown value. An error whose properties are plain data is returned unchanged. Any other value
 * becomes a new Error with what could be read, so that its properties can be read anywhere without care.
 */
export function asError (thrown: unknown): Error {
  if (isPlainError(thrown)) return thrown
  const error = readError(thrown)
  if (error === undefined) return new Error(describeThrown(thrown), { cause: thrown })
  const { type, message, stack, facts, cause } = error
  const safe = new Error(message, cause === undefined || cause === thrown ? {} : { cause })
  return Object.assign(safe, { name: type, ...facts, ...stack === undefined ? {} : { stack } })
}

/**
 * Cuts text to `max` characters and makes it text that the database can store: well-formed and without NUL. `mask` hides
 * secrets before the cut, so that no part of a secret stays there. Text that is not cut is not masked.
 */
export function boundText (text: string, max: number, mask: (text: string) => string = same): string {
  const cut = text.length <= max ? text : `${mask(text.slice(0, max * 4)).slice(0, max - 1).replace(/[\ud800-\udbff]$/, '')}…`
  return cut.toWellFormed().replaceAll('\0', '\ufffd')
}

/** True for every error, also for one behind a proxy that still answers. */
export function isError (value: unknown): value is Error {
  try {
    return Error.isError(value) || value instanceof Error
  } catch {
    // A revoked proxy, or one whose trap throws, cannot be asked. It counts as an object.
    return false
  }
}

/** Reads a property of a foreign value; one that cannot be read counts as missing. */
export function read (value: object, key: string | number): unknown {
  try {
    return (value as Record<string | number, unknown>)[key]
  } catch {
    return undefined
  }
}

function isArray (value: unknown): value is unknown[] {
  try {
    return Array.isArray(value)
  } catch {
    return false
  }
}

function firstOf (items: unknown[]): unknown[] {
  const length = read(items, 'length')
  return typeof length === 'number' ? Array.from({ length: Math.min(innerMax, length) }, (_, at) => read(items, at)) : []
}

/** Says in words what a value is. Objects are not shown, because they may hold secrets. */
export function describeValue (value: unknown, quote = ''): string {
  if (typeof value === 'string') return `${quote}${value}${quote}`
  if (typeof value === 'object' && value !== null) return 'an object'
  if (typeof value === 'function') return 'a function'
  return value === undefined && quote === '' ? '' : String(value)
}

const nativeStack = Object.getOwnPropertyDescriptor(new Error('to find how Node reads a stack'), 'stack')?.get

function isPlainError (thrown: unknown): thrown is Error {
  try {
    return Error.isError(thrown) && ['message', 'name', 'stack', 'code', 'cause'].every(key => isData(thrown, key)) &&
      typeof thrown.message === 'string' && typeof thrown.name === 'string' && ['string', 'undefined'].includes(typeof thrown.stack) &&
      ['string', 'number', 'undefined'].includes(typeof read(thrown, 'code'))
  } catch {
    return false
  }
}

/** False for a property that a getter of foreign code answers. The getters of a DOMException and of Node's stack are safe. */
function isData (error: Error, key: string): boolean {
  for (let holder: unknown = error; typeof holder === 'object' && holder !== null; holder = Object.getPrototypeOf(holder)) {
    const found = Object.getOwnPropertyDescriptor(holder, key)
    if (found !== undefined) return 'value' in found || found.get === nativeStack || holder === DOMException.prototype
  }
  return true
}
