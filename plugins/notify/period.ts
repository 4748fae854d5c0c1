// Computes when a digest is due.

const hourMs = 3_600_000

/** Returns the due time: an hourly digest is due at the next full hour, a daily one at the next 07:00 UTC. */
export function dueAt (period: 'hourly' | 'daily', nowMs: number): string {
  const [everyMs, phaseMs] = period === 'hourly' ? [hourMs, 0] : [24 * hourMs, 7 * hourMs]
  return new Date((Math.floor((nowMs - phaseMs) / everyMs) + 1) * everyMs + phaseMs).toISOString()
}
