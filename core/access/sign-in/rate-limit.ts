// Limits attempts by counting them in Postgres. One statement counts one attempt, so a limit holds across replicas
// and restarts, in whatever state the cache is.

import { knownForMs, ExpiringCache } from '../../concurrency/expiring-cache.ts'
import { sql, TooManyRequests, z } from '../../contract/index.ts'
import type { Clock, Transaction } from '../../contract/index.ts'

export interface RateLimit {
  /** Names what the attempts are counted for, for example `login:address:192.0.2.1`. */
  readonly key: string
  readonly max: number
  /**
   * Milliseconds from the first counted attempt. Refused attempts neither count nor prolong the window,
   * so they lock no user out for longer.
   */
  readonly windowMs: number
  readonly refusal: string
}

type Queries = Pick<Transaction, 'query' | 'any' | 'maybeOneFirst'>

export interface RateLimits {
  /**
   * Counts one attempt. Throws `TooManyRequests` when the window is full.
   * It is atomic: of a hundred attempts at the same time, `max` pass.
   */
  take (queries: Queries, limit: RateLimit): Promise<void>
  /**
   * Throws `TooManyRequests` when the window is known to be full, which is cached for one second after a refusal.
   * It makes no query.
   */
  assertNotKnownFull (limit: RateLimit): void
  /** Takes back the counts of attempts that were no failure after all. */
  giveBack (queries: Queries, keys: readonly string[]): Promise<void>
  /** Deletes windows that have ended. Without this, rows for names that no user has would stay for ever. */
  forgetOld (queries: Queries): Promise<void>
}

const fullMax = 10_000

export function createRateLimits ({ clock }: { clock: Clock }): RateLimits {
  /**
   * The end of each full window, cached for one second, so that a flood against one limit does not become
   * a flood against one row.
   */
  const full = new ExpiringCache<number>({ clock, entriesMax: fullMax })

  const refuse = ({ refusal }: RateLimit, endsAtMs: number): never => {
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
      // Attempts that were taken back, such as those refused because no turn came in time, leave no row
      // under an invented name.
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
