// Zod schemas for text that callers send. They refuse text that the database cannot store, text that displays
// differently from its content, and text that shows nothing.

import { z } from 'zod'

/**
 * Matches characters that may be forbidden in one line. It is a fast first check that most text passes; the exact
 * checks run only on a match.
 */
const suspectInLine = /[\p{Cc}\p{Cs}\u2028-\u202e\u2066-\u2069]/u
/** The same check for several lines, where tabs and line breaks are allowed. */
const suspectInLines = /[[\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069]--[\t\n\r]]/v
const control = /\p{Cc}/u
const controlInLines = /[\p{Cc}--[\t\n\r]]/v
/**
 * Matches a character that can be seen. U+2800, U+16FE4 and U+1D159 are letters or symbols by category, but blank in
 * every font.
 */
const visible = /[^\p{White_Space}\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cf}\p{Cs}\p{Noncharacter_Code_Point}\u2800\u{16fe4}\u{1d159}]/u

/** Tells whether PostgreSQL can store the text, both in a text column and in JSON. */
export const isStorable = (text: string): boolean => text.isWellFormed() && !text.includes('\0')

/** Tells whether the text shows at least one visible character to a reader. */
export const isVisible = (text: string): boolean => visible.test(text)

/**
 * The schema of one line that people read: a title, a name, a label, a reason. It takes 1 to `max` characters, and at
 * least one must be visible.
 */
export const singleLine = (max: number): z.ZodString => z.string().min(1, { abort: true }).max(max, { abort: true }).check(({ value, issues }) => {
  const message = findLineFault(value)
  if (message !== undefined) issues.push({ code: 'custom', message, input: value, continue: false })
})

/**
 * The schema of several lines that people read: a description, a comment. It takes at most `max` characters and may be
 * empty.
 */
export const multiLine = (max: number): z.ZodString => z.string().max(max, { abort: true }).check(({ value, issues }) => {
  const message = suspectInLines.test(value) ? findFault(value, controlInLines, 'There must be no control characters in it but tabs and line breaks.') : undefined
  if (message !== undefined) issues.push({ code: 'custom', message, input: value, continue: false })
})

/** The schema of text that people do not read, such as a password. It takes any characters that can be stored. */
export const storableText = (max: number): z.ZodString =>
  z.string().max(max, { abort: true }).refine(isStorable, 'It must hold no NUL character and no half of a surrogate pair.')

/** Returns a message about the first fault of the line, or undefined when there is none. */
export function findLineFault (text: string): string | undefined {
  const fault = suspectInLine.test(text) ? findFault(text, control, 'There must be no control characters in it.') : undefined
  if (fault !== undefined) return fault
  if (/[\u2028\u2029]/.test(text)) return 'It must be one line.'
  return text === '' || isVisible(text) ? undefined : 'It must have at least one visible character.'
}

function findFault (text: string, controls: RegExp, message: string): string | undefined {
  if (!text.isWellFormed()) return 'There must be no half of a surrogate pair in it.'
  return controls.test(text) ? message : findOrderFault(text)
}

/**
 * Finds characters that change the order in which text is displayed. Embeddings and overrides are refused. An isolate
 * must be closed in its own paragraph, so that it does not affect anything after the text.
 */
function findOrderFault (text: string): string | undefined {
  let open: number | undefined
  let depth = 0
  // Every bidirectional control character is one UTF-16 code unit.
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code >= 0x202a && code <= 0x202e) return `There must be no ${nameOf(code)} in it, which changes the order in which text is shown.`
    if (code >= 0x2066 && code <= 0x2068) {
      open ??= code
      depth++
    } else if (code === 0x2069) {
      if (depth === 0) return 'There must be no U+2069 in it without a U+2066, U+2067 or U+2068 before it.'
      if (--depth === 0) open = undefined
    } else if (depth > 0 && (code === 0x0a || code === 0x0d || code === 0x2029)) break
  }
  return open === undefined ? undefined : `The ${nameOf(open)} in it must be closed by a U+2069 on the same line.`
}

const nameOf = (code: number): string => `U+${code.toString(16).toUpperCase().padStart(4, '0')}`
