// Computes the prefetch size: jobs that a worker claims beyond `concurrency`, so that it stays busy during the next claim
// (≈ concurrency × claim time ÷ run time).

export interface Prefetch {
  /** Records how long a run took. */
  ran (ms: number): void
  /** Records how long a claim took. */
  claimed (ms: number): void
  /** Returns the number of jobs to claim ahead of need; 0 until a run and a claim were measured. */
  ahead (): number
}

/** Approximate limit for how long a claimed job waits in its replica. */
const longestMs = 2_000
const aheadMax = 500
/** Weight of the newest measurement in the moving average, so that older ones fade. */
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
