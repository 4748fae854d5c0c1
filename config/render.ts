// Settings as the table that `npm run settings` prints.

import type { Row } from './load.ts'

/** One line a setting: its name, its value, where that came from, and the variable that sets it. */
export function renderSettings (rows: readonly Row[]): string {
  const cells = [
    ['SETTING', 'VALUE', 'FROM', 'ENVIRONMENT'],
    ...rows.map(({ name, value, source, env }) => [name, value === '' ? '-' : value, source.startsWith('environment') ? 'environment' : source, env ?? '-'])
  ]
  const widths = [0, 1, 2].map(column => Math.max(...cells.map(row => row[column]?.length ?? 0)))
  return cells.map(row => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd()).join('\n')
}
