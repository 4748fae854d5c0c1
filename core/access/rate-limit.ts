// Counts attempts in Postgres, so that a limit holds across replicas and restarts, whatever the cache does.

import { sql, TooManyRequests, z } from '../contract/index.ts'
import type { Clock, Transaction } from '../contract/index.ts'

export interface Limit {
  /** Whose attempts: `login:name:ada`. */
  readonly key: string
  readonly max: number
  /** From the first attempt counted; refused ones neither count nor prolong it, so nobody is locked out for longer. */
  readonly windowMs: number
  readonly refusal: string
}

type Queries = Pick<Transaction, 'query' | 'any' | 'maybeOneFirst'>

/** Counts one attempt; `TooManyRequests` when the window is full. Atomic: of a hundred at once `max` pass. */
export async function takeAttempt (queries: Queries, clock: Clock, { key, max, windowMs, refusal }: Limit): Promise<void> {
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
  throw new TooManyRequests(refusal, { retryAfterMs: Math.max(1_000, Date.parse(endsAt ?? now) - nowMs) })
}

/** For attempts that were no failure after all. */
export async function giveBackAttempts (queries: Queries, keys: readonly string[]): Promise<void> {
  await queries.query(sql.type(z.object({}))`
    update bulkhead.rate_limit set taken = taken - 1 where key = any(${sql.array(keys, 'text')}::text[]) and taken > 0
  `)
}

/** Names that nobody has would otherwise stay for ever. */
export async function forgetOldAttempts (queries: Queries, clock: Clock): Promise<void> {
  await queries.query(sql.type(z.object({}))`
    delete from bulkhead.rate_limit where key in (
      select key from bulkhead.rate_limit where ends_at <= ${new Date(clock.now()).toISOString()} limit 100 for update skip locked
    )
  `)
}
