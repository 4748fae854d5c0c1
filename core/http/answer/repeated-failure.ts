// Limits the log lines about failures with the same cause to one a second: during an outage every request fails for the
// same reason. The access log still has one line for each request.

import type { Log } from '../../contract/index.ts'
import { describeThrown, readError } from '../../contract/thrown.ts'

export interface RepeatedFailures {
  /**
   * True when the failure is to be logged; otherwise it is counted, and the count follows within a second. With `place`
   * only failures there count as the same.
   */
  isFirst (err: Error, place?: string): boolean
}

const windowMs = 1_000
/** Most causes that are told apart within a second. Further ones share a line. */
const causesMax = 100
const levelsMax = 6
const causeLengthMax = 300

export function createRepeatedFailures (log: Pick<Log, 'warn'>): RepeatedFailures {
  const counts = new Map<string, number>()

  const endWindow = (): void => {
    for (const [cause, count] of counts) {
      if (count > 0) log.warn({ cause, count }, `${count} more requests failed within a second, for the same reason as one above: ${cause}`)
    }
    counts.clear()
  }

  return {
    isFirst (err, place) {
      const named = place === undefined ? causeOf(err) : `${place}: ${causeOf(err)}`
      const cause = counts.has(named) || counts.size < causesMax ? named : 'several reasons'
      const count = counts.get(cause)
      if (counts.size === 0) setTimeout(endWindow, windowMs).unref()
      counts.set(cause, count === undefined ? 0 : count + 1)
      return count === undefined
    }
  }
}

/** Names the innermost cause, which requests of several routes share. */
function causeOf (err: Error): string {
  let cause: unknown = err
  for (let level = 0; level < levelsMax; level++) {
    const next = readError(cause)?.cause
    if (readError(next) === undefined) break
    cause = next
  }
  return describeThrown(cause).slice(0, causeLengthMax)
}
