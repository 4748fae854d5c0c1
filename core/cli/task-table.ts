// Renders jobs as the table that `npm run tasks` prints.

import type { Job } from '../contract/index.ts'

/** Most characters of an error. It is the last column, so it may be long: its end often says what to do. */
const errorWidthMax = 400

export function renderJobs (jobs: readonly Job[]): string {
  const cells = [
    ['JOB', 'TASK', 'STATE', 'ATTEMPT', 'SENT', 'TOOK', 'ERROR'],
    ...jobs.map(({ id, task, state, attempt, attemptsMax, sentAt, durationMs, error, holdsBack }) => [
      id, task, holdsBack === 0 ? state : `${state}, holds back ${holdsBack}`, `${attempt} of ${attemptsMax}`, sentAt, durationMs === null ? '-' : `${durationMs} ms`,
      (error ?? '-').replaceAll(/\s+/g, ' ').slice(0, errorWidthMax)
    ])
  ]
  const widths = [0, 1, 2, 3, 4, 5].map(column => Math.max(...cells.map(row => row[column]?.length ?? 0)))
  return cells.map(row => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd()).join('\n')
}
