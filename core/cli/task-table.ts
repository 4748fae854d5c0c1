// Renders jobs as the table that `npm run tasks` prints.

import type { Job } from '../contract/index.ts'
import { renderTable } from './text-table.ts'

/** Most characters of an error. It is the last column, so it may be long: its end often says what to do. */
const errorWidthMax = 400

export function renderJobs (jobs: readonly Job[]): string {
  return renderTable([
    ['JOB', 'TASK', 'STATE', 'ATTEMPT', 'SENT', 'TOOK', 'ERROR'],
    ...jobs.map(({ id, task, state, attempt, attemptsMax, sentAt, durationMs, error, holdsBack }) => [
      id, task, holdsBack === 0 ? state : `${state}, holds back ${holdsBack}`, `${attempt} of ${attemptsMax}`, sentAt, durationMs === null ? '-' : `${durationMs} ms`,
      (error ?? '-').replaceAll(/\s+/g, ' ').slice(0, errorWidthMax)
    ])
  ]).join('\n')
}
