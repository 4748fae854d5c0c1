// Asks what is open whether it answers, and lets the readiness probe say so; liveness never looks at a dependency.

import type { Check, UnitParts } from './unit.ts'

const periodMs = 500
const deadlineMs = 1_000
/** In a row, before what is asked counts as away: on a busy machine one answer may come late, and a host that is not ready serves nobody. */
const failuresMax = 2

/** Call the result to end it; it resolves once no check is under way. */
export function watchHealth ({ opened, log, clock }: UnitParts): () => Promise<void> {
  const ending = new AbortController()
  /** Asked and not answered: not asked again, so that nothing piles up behind a system that is silent. */
  const asked = new Set<string>()
  const failing = new Map<string, { count: number, reason: string }>()
  const isAway = ([unit, { count }]: [string, { count: number }]): boolean => count >= failuresMax && opened.checks.get(unit)?.isRequired === true

  const ask = async (unit: string, check: Check): Promise<void> => {
    try {
      const signal = AbortSignal.any([ending.signal, AbortSignal.timeout(deadlineMs)])
      if (asked.has(unit)) throw new Error('the last question is not answered yet')
      asked.add(unit)
      const answer = (async () => check.ask(signal))().finally(() => asked.delete(unit))
      await Promise.race([answer, rejection(signal)])
      const { count = 0 } = failing.get(unit) ?? {}
      failing.delete(unit)
      if (count >= failuresMax) log.info({ unit }, `${unit} answers again`)
    } catch (err) {
      if (ending.signal.aborted) return
      const reason = Error.isError(err) ? err.message : String(err)
      const count = (failing.get(unit)?.count ?? 0) + 1
      failing.set(unit, { count, reason })
      if (count === failuresMax) log.error({ unit, err }, `${unit} does not answer: ${reason}. It is asked again twice a second.`)
    }
  }
  const watch = async (): Promise<void> => {
    for (;;) {
      await Promise.all([...opened.checks].map(([unit, check]) => ask(unit, check)))
      if (ending.signal.aborted) return
      const away = [...failing].filter(isAway)
      if (away.length === 0) opened.probes.ready()
      else opened.probes.notReady(() => away.map(([unit, { reason }]) => `${unit}: ${reason}`).join('\n'))
      await clock.sleep(periodMs, ending.signal).catch(() => { /* The end of the watch. */ })
    }
  }
  const watching = watch()
  return async () => {
    ending.abort()
    await watching
  }
}

/** A check that does not listen to its signal is not waited for. */
const rejection = (signal: AbortSignal): Promise<never> => new Promise((_resolve, reject) => {
  signal.addEventListener('abort', () => reject(signal.reason as Error))
})
