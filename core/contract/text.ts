// Schemas of text that callers send: what the database cannot store is refused, and so is text that shows something else than it holds, or nothing.

import { z } from 'zod'

/** Matches what one line must not hold, as a first question that most text answers at once. */
const suspectInLine = /[\p{Cc}\p{Cs}\u2028-\u202e\u2066-\u2069]/u
/** The same for several lines, where tabs and line breaks are allowed. */
const suspectInLines = /[[\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069]--[\t\n\r]]/v
const control = /\p{Cc}/u
const controlInLines = /[\p{Cc}--[\t\n\r]]/v
/** U+2800, U+16FE4 and U+1D159 are letters or symbols by their category, and blank in every font. */
const visible = /[^\p{White_Space}\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cf}\p{Cs}\p{Noncharacter_Code_Point}\u2800\u{16fe4}\u{1d159}]/u

/** Whether PostgreSQL can store the text, in a column of text and in JSON. */
export const isStorable = (text: string): boolean => text.isWellFormed() && !text.includes('\0')

/** Whether someone who looks at the text sees anything. */
export const isVisible = (text: string): boolean => visible.test(text)

/** One line that people read: a title, a name, a label, a reason. 1 to `max` characters, of which one at least can be seen. */
export const singleLine = (max: number): z.ZodString => z.string().min(1, { abort: true }).max(max, { abort: true }).check(({ value, issues }) => {
  const message = findLineFault(value)
  if (message !== undefined) issues.push({ code: 'custom', message, input: value, continue: false })
})

/** Several lines that people read: a description, a comment. At most `max` characters; it may be empty. */
export const multiLine = (max: number): z.ZodString => z.string().max(max, { abort: true }).check(({ value, issues }) => {
  const message = suspectInLines.test(value) ? findFault(value, controlInLines, 'There must be no control characters in it but tabs and line breaks.') : undefined
  if (message !== undefined) issues.push({ code: 'custom', message, input: value, continue: false })
})

/** Text that people do not read, such as a password: any characters that can be stored. */
export const storableText = (max: number): z.ZodString =>
  z.string().max(max, { abort: true }).refine(isStorable, 'It must hold no NUL character and no half of a surrogate pair.')

/** Undefined when nothing is wrong with the line. */
export function findLineFault (text: string): string | undefined {
  const fault = suspectInLine.test(text) ? findFault(text, control, 'There must be no control characters in it.') : undefined
  if (fault !== undefined) return fault
  if (/[\u2028\u2029]/.test(text)) return 'It must be one line.'
  return text === '' || isVisible(text) ? undefined : 'There must be something to see in it.'
}

function findFault (text: string, controls: RegExp, message: string): string | undefined {
  if (!text.isWellFormed()) return 'There must be no half of a surrogate pair in it.'
  return controls.test(text) ? message : findOrderFault(text)
}

/** Embeddings and overrides are refused; an isolate must be closed in its own paragraph, so that it changes nothing behind the text. */
function findOrderFault (text: string): string | undefined {
  let open: number | undefined
  let depth = 0
  // Every character of ordering is one unit of UTF-16.
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
