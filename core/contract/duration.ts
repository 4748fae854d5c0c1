// Durations in the form in which plugins write them.

/** Milliseconds as a number, or a whole number with a unit: `'250ms'`, `'10s'`, `'5m'`, `'2h'`, `'1d'`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Converts a duration to milliseconds. Returns undefined when it is not a valid duration. */
export function readDuration (duration: Duration): number | undefined {
  if (typeof duration === 'number') return Number.isSafeInteger(duration) && duration > 0 ? duration : undefined
  const [, count, unit = ''] = /^([1-9]\d{0,8})(ms|s|m|h|d)$/.exec(duration) ?? []
  return count === undefined ? undefined : Number(count) * (units[unit] ?? NaN)
}
