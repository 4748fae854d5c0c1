// Reports the start of the host: every few seconds the units it waits for, then the start as a tree or as data, and where the host listens.

import { pause } from '../concurrency/loop.ts'
import type { Lifecycle, Log } from '../contract/index.ts'
import { asError, describe, renderStartReport, type StartReport } from '../kernel/index.ts'
import { reasonsOf } from '../resources/postgres/passing-error.ts'
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

/** People get the message, which ends with the deepest reason; systems that collect log lines also get the codes and the stack. */
export function logFailedStart (error: unknown, log: RootLog): void {
  const reasons = reasonsOf(asError(error))
  const told = new Set(reasons.map(reason => describe(reason)))
  // A reason that another one repeats is left out, so that each sentence stands in the line once.
  const sentences = [...told].filter((text, at, all) => !all.slice(0, at).some(before => before.includes(text)))
  const [message = '', deepest] = [sentences[0], sentences.length > 1 ? sentences.at(-1) : undefined]
  const codes = reasons.flatMap(reason => 'code' in reason ? [reason.code] : [])
  const stack = reasons.at(-1)?.stack?.split('\n').filter(line => /^ +at /.test(line)).join('\n')
  log.fatal(log.isPretty ? {} : { codes, stack }, deepest === undefined ? message : `${message.replace(/\.$/, '')}. The reason: ${deepest}`)
}

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
