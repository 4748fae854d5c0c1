// How plugins publish events and subscribe to events of other plugins.

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
 * Publishes and receives events. Event names are lower case, digits, dashes and dots: `merge-request.merged`. An event
 * belongs to the plugin whose manifest declares it in `events`. The name and the payload are that plugin's contract,
 * and any plugin may subscribe.
 *
 * `publish` and `broadcast` refuse an event that another plugin declares (`BULKHEAD_EVENT_NOT_OWNED`). An event that no
 * plugin declares causes a warning in the log; from the next major version on it is an error.
 */
export interface Events {
  /**
   * Delivers the event at least once to every plugin that subscribes, through a queue for each. This includes plugins
   * that are currently down or being replaced. With `in`, the event is delivered if and only if that transaction
   * commits. Events of one `key` arrive in the order in which they were published. A plugin that subscribes later does
   * not get the event.
   */
  publish (name: string, payload: unknown, options?: Pick<SendOptions, 'in' | 'key'>): Promise<void>
  /**
   * Subscribes to an event. One replica runs `handler` for each event, like a queue job with 10 retries, and the
   * changes that the handler makes through `tx` are made exactly once. A payload that does not fit `schema` counts as a
   * failure.
   *
   * Once a plugin has subscribed, events wait for it while it is down. The subscription ends when the plugin starts
   * with tasks or other events but without this subscription.
   */
  on<Payload extends z.ZodType> (name: string, schema: Payload, handler: (run: EventRun<z.output<Payload>>) => void | Promise<void>): void
  /**
   * Sends the event to every replica at once, at most once each. Use it for messages that may be lost, such as cache
   * invalidation.
   */
  broadcast (name: string, payload: unknown): Promise<void>
  /**
   * Receives broadcasts in this replica, including its own, until the plugin ends. A payload that does not fit `schema`
   * is logged and skipped.
   */
  onBroadcast<Payload extends z.ZodType> (name: string, schema: Payload, handler: (payload: z.output<Payload>) => void | Promise<void>): void
}
