// Computes how long a session lives: 24 hours at most, and less when it is not used.

export const sessionLifeMs = 24 * 3_600_000
/** Milliseconds without use after which a session ends by default. */
export const defaultSessionIdleMs = 8 * 3_600_000
/**
 * A session is extended by at least this much, or by a tenth of the idle time when that is less.
 * With the default idle time, using a session therefore writes at most about once a minute.
 */
export const extendEveryMs = 60_000

export const sessionEndMs = ({ createdAtMs, usedAtMs, idleMs }: { createdAtMs: number, usedAtMs: number, idleMs: number }): number =>
  Math.min(createdAtMs + sessionLifeMs, usedAtMs + idleMs)
