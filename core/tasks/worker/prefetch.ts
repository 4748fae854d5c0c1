// How much a worker claims beyond what it may run at once: what it will run in about the time that a claim takes, so that it is not idle meanwhile.

export interface Prefetch {
  /** A run took so long. */
  ran (ms: number): void
  /** A claim took so long. */
  claimed (ms: number): void
  /** Jobs to claim ahead of need; none before anything is known. */
  ahead (): number
}

/** Nothing waits longer than this, about, in a replica that has claimed it. */
const longestMs = 2_000
const aheadMax = 500
/** What was is forgotten by and by. */
const share = 0.1

export function createPrefetch (concurrency: number): Prefetch {
  let runMs: number | undefined
  let claimMs: number | undefined
  const mix = (before: number | undefined, ms: number): number => before === undefined ? ms : before + (ms - before) * share
  return {
    ran: ms => { runMs = mix(runMs, ms) },
    claimed: ms => { claimMs = mix(claimMs, ms) },
    ahead: () => {
      if (runMs === undefined || claimMs === undefined) return 0
      return Math.min(aheadMax, Math.floor(concurrency * Math.min(claimMs, longestMs) / Math.max(runMs, 0.01)))
    }
  }
}
