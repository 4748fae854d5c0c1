// Counts attempts in Postgres: one statement each, so a limit holds across replicas and restarts, and whatever the cache does.

import { knownForMs, ExpiringCache } from '../../concurrency/expiring-cache.ts'
import { sql, TooManyRequests, z } from '../../contract/index.ts'
import type { Clock, Transaction } from '../../contract/index.ts'

export interface Limit {
  /** Whose attempts: `login:name:ada`. */
  readonly key: string
  readonly max: number
  /** From the first attempt counted; refused ones neither count nor prolong it, so nobody is locked out for longer. */
  readonly windowMs: number
  readonly refusal: string
}

type Queries = Pick<Transaction, 'query' | 'any' | 'maybeOneFirst'>

export interface RateLimits {
  /** Counts one attempt; `TooManyRequests` when the window is full. Atomic: of a hundred at once `max` pass. */
  take (queries: Queries, limit: Limit): Promise<void>
  /** `TooManyRequests` when the window is known to be full, as it is for a second after someone was refused; asks nobody. */
  assertNotKnownFull (limit: Limit): void
  /** For attempts that were no failure after all. */
  giveBack (queries: Queries, keys: readonly string[]): Promise<void>
  /** Names that nobody has would otherwise stay for ever. */
  forgetOld (queries: Queries): Promise<void>
}

const fullMax = 10_000

export function createRateLimits ({ clock }: { clock: Clock }): RateLimits {
  /** When each full window ends, known for a second, so that a flood against one limit does not become a flood against one row. */
  const full = new ExpiringCache<number>({ clock, entriesMax: fullMax })

  const refuse = ({ refusal }: Limit, endsAtMs: number): never => {
    throw new TooManyRequests(refusal, { retryAfterMs: Math.max(1_000, endsAtMs - clock.now()) })
  }
  const assertNotKnownFull: RateLimits['assertNotKnownFull'] = (limit) => {
    const endsAtMs = full.get(limit.key)
    if (endsAtMs !== undefined) refuse(limit, endsAtMs)
  }

  return {
    assertNotKnownFull,
    async take (queries, limit) {
      assertNotKnownFull(limit)
      const { key, max, windowMs } = limit
      const nowMs = clock.now()
      const now = new Date(nowMs).toISOString()
      const taken = await queries.any(sql.type(z.object({ taken: z.int() }))`
        insert into bulkhead.rate_limit as r (key, taken, ends_at)
        values (${key}, 1, ${new Date(nowMs + windowMs).toISOString()})
        on conflict (key) do update set
          taken = case when r.ends_at > ${now} then r.taken + 1 else 1 end,
          ends_at = case when r.ends_at > ${now} then r.ends_at else excluded.ends_at end
        where r.taken < ${max} or r.ends_at <= ${now}
        returning taken
      `)
      if (taken.length > 0) return
      const endsAt = await queries.maybeOneFirst(sql.type(z.object({ endsAt: z.iso.datetime() }))`
        select ends_at as "endsAt" from bulkhead.rate_limit where key = ${key}
      `)
      const endsAtMs = Date.parse(endsAt ?? now)
      full.set(key, endsAtMs, { fromMs: nowMs, untilMs: Math.min(endsAtMs, nowMs + knownForMs) })
      refuse(limit, endsAtMs)
    },
    async giveBack (queries, keys) {
      if (keys.length === 0) return
      for (const key of keys) full.delete(key)
      await queries.query(sql.type(z.object({}))`
        update bulkhead.rate_limit set taken = taken - 1 where key = any(${sql.array(keys, 'text')}::text[]) and taken > 0
      `)
      // Attempts that came to nothing, as those that are turned away for want of a turn, leave no row under an invented name.
      await queries.query(sql.type(z.object({}))`
        delete from bulkhead.rate_limit where key = any(${sql.array(keys, 'text')}::text[]) and taken <= 0
      `)
    },
    async forgetOld (queries) {
      await queries.query(sql.type(z.object({}))`
        delete from bulkhead.rate_limit where key in (
          select key from bulkhead.rate_limit where ends_at <= ${new Date(clock.now()).toISOString()} limit 100 for update skip locked
        )
      `)
    }
  }
}
