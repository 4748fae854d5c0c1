// How long a session lives: 24 hours at most, and less when nobody uses it.

export const sessionLifeMs = 24 * 3_600_000
/** Unless the setting says otherwise. */
export const defaultSessionIdleMs = 8 * 3_600_000
/** The end is put off by this much at least, so that using a session writes once a minute. */
export const extendEveryMs = 60_000

export const sessionEndMs = ({ createdAtMs, usedAtMs, idleMs }: { createdAtMs: number, usedAtMs: number, idleMs: number }): number =>
  Math.min(createdAtMs + sessionLifeMs, usedAtMs + idleMs)
