// Renders settings as the table that `npm run settings` prints.

import type { Row } from './load.ts'

/** One line for each setting: its name, its value, where that came from, the variable that sets it, and its description. */
export function renderSettings (rows: readonly Row[]): string {
  const cells = [
    ['SETTING', 'VALUE', 'FROM', 'ENVIRONMENT', 'DESCRIPTION'],
    ...rows.map(({ name, value, source, env, doc }) =>
      [name, value === '' ? '-' : value, source.startsWith('environment') ? 'environment' : source, env ?? '-', doc])
  ]
  const widths = [0, 1, 2, 3].map(column => Math.max(...cells.map(row => row[column]?.length ?? 0)))
  return cells.map(row => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd()).join('\n')
}
