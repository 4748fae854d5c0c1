// When a digest is due.

const hourMs = 3_600_000

/** By the hour: at the next full one. By the day: at the next seven o'clock, UTC. */
export function dueAt (period: 'hourly' | 'daily', nowMs: number): string {
  const [everyMs, phaseMs] = period === 'hourly' ? [hourMs, 0] : [24 * hourMs, 7 * hourMs]
  return new Date((Math.floor((nowMs - phaseMs) / everyMs) + 1) * everyMs + phaseMs).toISOString()
}
