// Queues lookups for unknown callers, so that a flood of invented tokens or names leaves the database
// to known users.

import { createLimit, type Limit } from '../../concurrency/limit.ts'
import { TooManyRequests, type Clock } from '../../contract/index.ts'

/** Sixteen lookups at the same time, at a few milliseconds each, are thousands a second. */
export const createLookupLimit = (clock: Clock): Limit => createLimit({
  clock, atOnce: 16, waitingMax: 1_000, waitMs: 5_000,
  refusal: () => new TooManyRequests('Too many unknown callers are being looked up at this moment. Try again shortly.', { retryAfterMs: 1_000 })
})
