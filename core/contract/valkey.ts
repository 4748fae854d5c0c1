// The shared cache and the news between replicas, as a plugin sees them. Keys and channels are prefixed with the plugin's id.

import type { z } from 'zod'

export interface Valkey {
  /** The value under `key`, or undefined when there is none, it has expired, or it does not fit `schema` (then it is a miss, not an error). */
  get<S extends z.ZodType> (key: string, schema: S): Promise<z.output<S> | undefined>
  /** Stores `value` as JSON for `ttlMs` milliseconds (1 … 30 days). */
  set (key: string, value: unknown, options: { ttlMs: number }): Promise<void>
  /** Removes the keys; one that is not there is no error. */
  invalidate (...keys: string[]): Promise<void>
  /**
   * The value under `key`; on a miss `load` runs once however many callers wait in this process, and what it gives is stored.
   * `load` may shorten the life of what it gives by returning `{ value, ttlMs }` through `options.ttlMs` as a function of the value.
   * When the cache is away the value still comes from `load`.
   */
  remember<S extends z.ZodType> (
    key: string, schema: S, options: { ttlMs: number | ((value: z.output<S>) => number) }, load: () => Promise<z.output<S>>
  ): Promise<z.output<S>>
  /** Sends `message` as JSON to every subscriber in every replica, at most once each. */
  publish (channel: string, message: unknown): Promise<void>
  /** Calls `handler` with each message that fits `schema`; one that does not is logged. Resolves once subscribed; call the result to leave. */
  subscribe<S extends z.ZodType> (
    channel: string, schema: S, handler: (message: z.output<S>) => void | Promise<void>
  ): Promise<() => Promise<void>>
}
