// How plugins tell each other what has happened.

import type { z } from 'zod'
import type { SendOptions, TaskRun } from './task.ts'

export interface EventRun<Payload = unknown> extends TaskRun {
  readonly payload: Payload
}

/** A value of `events` in the manifest. */
export interface EventDeclaration {
  /** Says in a few words when the event is published. */
  readonly description: string
}

/**
 * Event names are lower case, digits, dashes and dots: `merge-request.merged`. An event belongs to the plugin whose manifest declares it in `events`:
 * the name and the payload are that plugin's promise, and any plugin may subscribe. An event that another plugin declares is refused
 * (`BULKHEAD_EVENT_NOT_OWNED`) by `publish` and `broadcast`; one that no plugin declares is a warning in the log, and an error from the next major
 * version on.
 */
export interface Events {
  /**
   * Tells every plugin that subscribes, at least once each, also one that is down or being replaced now, through a queue of its own. With `in`
   * it is told if and only if that transaction commits. Events of one `key` arrive in the order they were published. Whoever subscribes later is
   * not told.
   */
  publish (name: string, payload: unknown, options?: Pick<SendOptions, 'in' | 'key'>): Promise<void>
  /**
   * One replica runs `handler` for each event, like a job of a queue with 10 retries: what it does through `tx` is done exactly once. A payload
   * that does not fit `schema` counts as a failure. Once a plugin has subscribed, events wait for it while it is away; they stop when it starts
   * with tasks or events, but without the subscription.
   */
  on<Payload extends z.ZodType> (name: string, schema: Payload, handler: (run: EventRun<z.output<Payload>>) => void | Promise<void>): void
  /** Tells every replica at once, at most once: for what may be missed, such as news that a cached value is stale. */
  broadcast (name: string, payload: unknown): Promise<void>
  /** Hears broadcasts in this replica, its own ones too, until the plugin ends. What does not fit `schema` is logged and left out. */
  onBroadcast<Payload extends z.ZodType> (name: string, schema: Payload, handler: (payload: z.output<Payload>) => void | Promise<void>): void
}
