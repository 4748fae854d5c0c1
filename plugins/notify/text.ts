// Makes safe plain text and HTML from text that users wrote: HTML is escaped, and single lines contain no line breaks.

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', '\'': '&#39;', '`': '&#96;' }

export const escapeHtml = (text: string): string => text.replaceAll(/[&<>"'`]/g, character => entities[character] ?? '')

/** A template tag that escapes its values: html`<p>${title}</p>`. */
export const html = (strings: TemplateStringsArray, ...values: readonly (string | number)[]): string =>
  strings.map((string, index) => string + (index < values.length ? escapeHtml(String(values[index])) : '')).join('')

const subjectMax = 255

/**
 * Makes one line of the text. The result can neither begin a mail header nor change the direction in which text is
 * displayed.
 */
export function toLine (text: string, max = subjectMax): string {
  const line = text.toWellFormed().replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+/gu, ' ').replaceAll(/ {2,}/g, ' ').trim()
  return shorten(line, max)
}

/** Removes control characters, except line breaks and tabs. */
export const toText = (text: string): string => text.toWellFormed().replaceAll(/\r\n?/g, '\n').replaceAll(/[^\P{Cc}\n\t]/gu, '')

/** Removes the characters that the queue cannot store, before a sender's text is passed to it. */
export const storableOf = <Fields extends object>(fields: Fields): Fields => Object.fromEntries(Object.entries(fields).map(
  ([name, value]: [string, unknown]) => [name, typeof value === 'string' ? value.toWellFormed().replaceAll('\0', '') : value])) as Fields

export function shorten (text: string, max: number): string {
  const characters = Array.from(text)
  return characters.length <= max ? text : `${characters.slice(0, max - 1).join('')}…`
}

/** Makes the HTML of a mail from its subject and text. */
export function toHtml (subject: string, text: string): string {
  const paragraphs = text.split(/\n{2,}/).filter(part => part.trim() !== '').map(part => `<p style="white-space: pre-line">${escapeHtml(part)}</p>`)
  return `<!doctype html>\n<html><head><meta charset="utf-8"><title>${escapeHtml(subject)}</title></head><body>\n<h1 style="font-size: 1.2em">${escapeHtml(subject)}</h1>\n${paragraphs.join('\n')}\n</body></html>\n`
}
