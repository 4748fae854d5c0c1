// What the host says of its start: every few seconds what is waited for; then the start as a tree or as data, and where it listens.

import { renderStartReport, type StartReport } from '../kernel/index.ts'
import type { UnitParts } from './unit.ts'

const patienceMs = 5_000

/** Until `ready` aborts, an operator who watches a long start is told who is being waited for, and why. */
export async function sayWhatIsWaitedFor ({ kernel, log, clock }: UnitParts, ready: AbortSignal): Promise<void> {
  for (;;) {
    await clock.sleep(patienceMs, ready).catch(() => { /* Ready, or stopping. */ })
    if (ready.aborted) return
    const waiting = kernel.waiting()
    if (waiting.length > 0) log.warn({ waiting }, `still waiting for ${waiting.map(({ unit, for: why }) => `${unit} (${why})`).join(', ')}`)
  }
}

export function announce (reports: readonly StartReport[], { log, opened }: UnitParts): void {
  const report = joinStartReports(reports)
  const facts = { url: opened.listening.url, probesUrl: `http://127.0.0.1:${opened.probes.port}` }
  if (log.isPretty) {
    log.print(renderStartReport(report))
    log.print(`Listening on ${facts.url}, probes on ${facts.probesUrl}. Ctrl-C ends it.`)
  } else log.info({ ...facts, report }, 'ready')
}

/** From the start of the process, so that loading the code counts too. */
function joinStartReports (reports: readonly StartReport[]): StartReport {
  return {
    totalMs: performance.now(),
    units: reports.flatMap(({ units }) => units),
    criticalPath: reports.flatMap(({ criticalPath }) => criticalPath)
  }
}
