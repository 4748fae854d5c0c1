// Asks what is open whether it answers, and lets the readiness probe say so; liveness never looks at a dependency.

import type { Check, UnitParts } from './unit.ts'

const periodMs = 1_000
const deadlineMs = 1_000

/** Call the result to end it; it resolves once no check is under way. */
export function watchHealth ({ opened, log, clock }: UnitParts): () => Promise<void> {
  const ending = new AbortController()
  const failing = new Map<string, string>()

  const ask = async (unit: string, check: Check): Promise<void> => {
    try {
      const signal = AbortSignal.any([ending.signal, AbortSignal.timeout(deadlineMs)])
      await Promise.race([check.ask(signal), rejection(signal)])
      if (failing.delete(unit)) log.info({ unit }, `${unit} answers again`)
    } catch (err) {
      if (ending.signal.aborted) return
      const reason = Error.isError(err) ? err.message : String(err)
      if (!failing.has(unit)) log.error({ unit, err }, `${unit} does not answer: ${reason}. It is asked again every second.`)
      failing.set(unit, reason)
    }
  }
  const watch = async (): Promise<void> => {
    for (;;) {
      await Promise.all([...opened.checks].map(([unit, check]) => ask(unit, check)))
      if (ending.signal.aborted) return
      const away = [...failing].filter(([unit]) => opened.checks.get(unit)?.isRequired)
      if (away.length === 0) opened.probes.ready()
      else opened.probes.notReady(() => away.map(([unit, reason]) => `${unit}: ${reason}`).join('\n'))
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
