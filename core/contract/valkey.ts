// The resource `valkey`: the shared cache, and messages between replicas. The host prefixes keys and channels with the
// plugin's id.

import type { z } from 'zod'

export interface Valkey {
  /**
   * Resolves with the value under `key`. Resolves with undefined when there is none, when it has expired, or when it
   * does not fit `schema` (which is a miss, not an error).
   */
  get<S extends z.ZodType> (key: string, schema: S): Promise<z.output<S> | undefined>
  /** Stores `value` as JSON for `ttlMs` milliseconds (1 ms to 30 days). */
  set (key: string, value: unknown, options: { ttlMs: number }): Promise<void>
  /** Removes the keys. A missing key is not an error. */
  invalidate (...keys: string[]): Promise<void>
  /**
   * Resolves with the value under `key`. On a miss, `load` runs once for all concurrent callers in this process, and
   * its result is stored. With `options.ttlMs` as a function, each value can have its own lifetime. When the cache is
   * unavailable, the value still comes from `load`.
   */
  remember<S extends z.ZodType> (
    key: string, schema: S, options: { ttlMs: number | ((value: z.output<S>) => number) }, load: () => Promise<z.output<S>>
  ): Promise<z.output<S>>
  /** Sends `message` as JSON to every subscriber in every replica, at most once each. */
  publish (channel: string, message: unknown): Promise<void>
  /**
   * Calls `handler` with each message that fits `schema`; other messages are logged and dropped. Resolves once
   * subscribed, with a function that ends the subscription.
   */
  subscribe<S extends z.ZodType> (
    channel: string, schema: S, handler: (message: z.output<S>) => void | Promise<void>
  ): Promise<() => Promise<void>>
}
