// Masks secrets in log lines: facts with a secret name at any depth, and passwords, tokens and known secret values in any
// text. Of an error it logs only known facts. Nothing in this file throws, whatever is logged.

import { boundText, isError, read, readError } from '../contract/thrown.ts'

const secretName = /(?:password|passwd|secret|token|authorization|cookie|credential|(?:api|master|private|secret|access|encryption)[-_]?key)s?$/i

/** Deepest level of facts that is logged. Deeper ones are left out, because a log line is not a dump. */
const deepest = 6
/** Most characters of one text in a line. */
export const textMax = 10_000

export type Mask = (text: string) => string

/**
 * Returns a copy in which every fact with a secret name reads `[secret]`, or the same object when nothing had to
 * change. `maskText` masks text before it is cut.
 */
export function maskSecrets (facts: Record<string, unknown>, maskText: Mask = text => text, depth = 0): Record<string, unknown> {
  let masked: Record<string, unknown> | undefined
  for (const name of Object.keys(facts)) {
    // A getter may answer differently the second time, so the value that was masked is the one that is logged.
    const hasGetter = Object.getOwnPropertyDescriptor(facts, name)?.get !== undefined
    const value = read(facts, name)
    const shown = secretName.test(name) && value !== undefined && value !== null ? '[secret]' : maskValue(value, maskText, depth)
    if (shown !== value || hasGetter) (masked ??= Object.fromEntries(Object.keys(facts).map(key => [key, read(facts, key)])))[name] = shown
  }
  return masked ?? facts
}

function maskValue (value: unknown, maskText: Mask, depth: number): unknown {
  if (typeof value === 'string') return value.length > textMax ? boundText(value, textMax, maskText) : value
  if (typeof value !== 'object' || value === null) return value
  try {
    if (isError(value)) return errorFacts(value, maskText, depth)
    if (depth >= deepest) return '[deep]'
    if (Array.isArray(value)) {
      const items = value.map(item => maskValue(item, maskText, depth + 1))
      return items.some((item, at) => item !== value[at]) ? items : value
    }
    return isPlain(value) ? maskSecrets(value, maskText, depth + 1) : value
  } catch {
    return '[unreadable]'
  }
}

/** False for dates, buffers and other class instances, which define themselves how they are serialized. */
function isPlain (value: object): value is Record<string, unknown> {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** Returns an error as facts, with its causes. Any other thrown value is masked like a fact. */
function errorFacts (thrown: unknown, maskText: Mask, depth: number): unknown {
  const error = readError(thrown, maskText)
  if (error === undefined) return maskValue(thrown, maskText, depth)
  const { type, message, stack, facts, errors, cause } = error
  if (depth >= deepest) return { type, message }
  return {
    type,
    message,
    ...facts,
    ...stack === undefined ? {} : { stack },
    ...errors.length === 0 ? {} : { errors: errors.map(inner => errorFacts(inner, maskText, depth + 1)) },
    ...cause === undefined ? {} : { cause: errorFacts(cause, maskText, depth + 1) }
  }
}

/**
 * Masks the password in URLs such as `postgres://user:password@host`, wherever a driver or a person put one into a
 * line.
 */
export const maskPasswords: Mask = line =>
  line.includes('://') ? line.replaceAll(/(\w:\/\/[^\s:/@"]*):[^\s/"]+@/g, '$1:[secret]@') : line

/**
 * Tokens of sessions, API tokens and links of this host. They also match in capitals, in part or inside a URL, because
 * callers paste them into the wrong places.
 */
const anyToken = /plat(?:_|%5f)(?:[a-z]{1,16}(?:_|%5f))?[0-9a-f]{16,}/gi

export const maskTokens: Mask = line => line.replaceAll(anyToken, '[secret]')
