// Limits the log lines that unknown callers can cause: 30 a minute for each route and kind. At the end of the minute one
// line for each route says how many are missing.

import type { Log } from '../contract/index.ts'

export interface LineBudget {
  /** Returns whether one more line of this kind may be logged about this place: a route, or the id of a plugin. */
  take (kind: string, place: string): boolean
}

const windowMs = 60_000
const linesMax = 30

export function createLineBudget (log: Pick<Log, 'warn'>): LineBudget {
  let taken = new Map<string, number>()
  let missing = new Map<string, number>()
  let timer: NodeJS.Timeout | undefined

  const endWindow = (): void => {
    timer = undefined
    for (const [place, lines] of missing) {
      log.warn({ place, lines }, `${lines} more log lines about requests of unknown callers to ${place} were left out within a minute: they failed like those in the log`)
    }
    taken = new Map()
    missing = new Map()
  }

  return {
    take (kind, place) {
      timer ??= setTimeout(endWindow, windowMs).unref()
      const key = `${kind} ${place}`
      const lines = (taken.get(key) ?? 0) + 1
      taken.set(key, lines)
      if (lines <= linesMax) return true
      missing.set(place, (missing.get(place) ?? 0) + 1)
      return false
    }
  }
}
