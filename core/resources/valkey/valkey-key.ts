// Checks which keys, channels and lifetimes the cache accepts. A refusal here points to a mistake in the caller's code,
// not in a request.

const keyBytes = 512
const longestTtlMs = 30 * 24 * 60 * 60 * 1_000

// White space and control characters would pass through Valkey, and then appear in logs and command lines.
const forbidden = /[\s\p{Cc}]/u

export function checkKey (what: 'key' | 'channel', key: string): void {
  // Most keys are short and plain, so the bytes are counted only where the length leaves a doubt.
  if (key !== '' && key.length <= keyBytes && !forbidden.test(key) && key.isWellFormed() &&
    (key.length * 3 <= keyBytes || Buffer.byteLength(key) <= keyBytes)) return
  throw new TypeError(`the cache ${what} ${JSON.stringify(key.slice(0, 100))} is not usable: ` +
    `it must have 1 to ${keyBytes} bytes, no white space and no control characters`)
}

export function checkTtl (key: string, ttlMs: number): void {
  if (ttlMs >= 1 && ttlMs <= longestTtlMs) return
  throw new RangeError(`ttlMs of the cache key "${key}" is ${ttlMs}: it must be from 1 ms to 30 days (${longestTtlMs} ms)`)
}
