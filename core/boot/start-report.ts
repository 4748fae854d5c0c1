// Reports the start of the host: every few seconds the units it waits for, then the start as a tree or as data, and where the host listens.

import { pause } from '../concurrency/loop.ts'
import type { Lifecycle, Log } from '../contract/index.ts'
import { renderStartReport, type StartReport } from '../kernel/index.ts'
import type { RootLog } from '../telemetry/log-writer.ts'
import type { UnitParts } from './unit-context.ts'

const patienceMs = 5_000

/** Until `ready` aborts, logs for the operator of a long start which units are pending, why, and which units wait for them. */
export async function logPendingUnits ({ kernel, log, clock }: Pick<UnitParts, 'kernel' | 'clock'> & { log: Log }, ready: AbortSignal): Promise<void> {
  while (await pause(clock, patienceMs, ready)) {
    const waiting = kernel.waiting()
    if (waiting.length === 0) continue
    const words = waiting.map(({ unit, for: why, by }) => `${unit} (${why}${by.length === 0 ? '' : `; ${shorten(by)} wait${by.length === 1 ? 's' : ''} for it`})`)
    log.warn({ waiting }, `still waiting for ${words.join(', ')}`)
  }
}

const shownMax = 5
const shorten = (names: readonly string[]): string =>
  names.length <= shownMax ? names.join(', ') : `${names.slice(0, shownMax).join(', ')} and ${names.length - shownMax} more`

export interface StartLog {
  /** Adds the report of a phase. */
  add (report: StartReport): void
  /** Tells how the start has gone so far. The total counts from the start of the process, so that it includes the loading of the code. */
  lifecycle (): Lifecycle
  print (log: RootLog, facts: { readonly url: string, readonly probesUrl: string }): void
}

export function createStartLog (): StartLog {
  let whole: StartReport = { totalMs: 0, units: [], criticalPath: [] }
  return {
    add: ({ units, criticalPath }) => {
      whole = { totalMs: performance.now(), units: [...whole.units, ...units], criticalPath: [...whole.criticalPath, ...criticalPath] }
    },
    lifecycle: () => describeStart(whole),
    print: (log, facts) => {
      if (log.isPretty) {
        log.print(renderStartReport(whole))
        log.print(`Listening on ${facts.url}, probes on ${facts.probesUrl}. Ctrl-C ends it.`)
      } else log.info({ ...facts, report: whole }, 'ready')
    }
  }
}

const describeStart = ({ totalMs, units, criticalPath }: StartReport): Lifecycle => ({
  totalMs,
  criticalPath,
  units: units.map(({ id, kind, state, waitedForMs, startedAt, durationMs, attempts, needs, lastNeed = null, reason = null }) => ({
    id, kind, state, waitedForMs, durationMs, attempts, needs, lastNeed, reason,
    startedAt: startedAt === undefined ? null : new Date(startedAt).toISOString()
  }))
})
