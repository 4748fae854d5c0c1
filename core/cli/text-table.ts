// Renders rows as a table of text, and makes texts of other people safe for a terminal.

/** Control characters except line breaks, and characters that change the order in which text is shown. */
const unprintable = /[^\P{Cc}\n]|[\u202a-\u202e\u2066-\u2069]/gu

/**
 * Shows each control character as its escape, such as `\u001b`: error texts, keys and names come from plugins and
 * callers, and a terminal would obey them.
 */
export const printable = (text: string): string =>
  text.replaceAll(unprintable, character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)

/** Returns one line for each row. Every column but the last is as wide as its widest cell. A line break in a cell becomes a space. */
export function renderTable (rows: readonly (readonly string[])[]): string[] {
  const cells = rows.map(row => row.map(cell => printable(cell.split('\n').map(line => line.trim()).join(' '))))
  const widths = cells[0]?.map((_, column) => Math.max(...cells.map(row => row[column]?.length ?? 0))) ?? []
  return cells.map(row => row.map((cell, column) => column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd())
}
