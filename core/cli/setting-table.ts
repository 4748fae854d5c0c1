// Renders settings as the table that `npm run settings` prints.

import type { Row } from '../../config/load.ts'
import { renderTable } from './text-table.ts'

/** One line for each setting: its name, its value, where that came from, the variable that sets it, and its description. */
export function renderSettings (rows: readonly Row[]): string {
  return renderTable([
    ['SETTING', 'VALUE', 'FROM', 'ENVIRONMENT', 'DESCRIPTION'],
    ...rows.map(({ name, value, source, env, doc }) =>
      [name, value === '' ? '-' : value, source.startsWith('environment') ? 'environment' : source, env ?? '-', doc])
  ]).join('\n')
}
