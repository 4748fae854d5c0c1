// Zod schemas and types of notifications, for senders, routes and jobs.

import { z } from 'bulkhead'

export const channels = ['in_app', 'email', 'webhook'] as const
export type Channel = (typeof channels)[number]
export const modes = ['now', 'hourly', 'daily', 'off'] as const
export type Mode = (typeof modes)[number]

/** The kind of a notification, such as `issue.assigned`. People turn notifications on and off by kind. */
export const Kind = z.string().max(64).regex(/^[a-z][a-z0-9]*(?:[.-][a-z0-9]+)*$/, 'It must be lower-case letters and digits, with dots or dashes between.')

export const Ref = z.object({ type: z.string().regex(/^[a-z][a-z0-9-]{0,63}$/, 'It must be lower-case letters, digits and dashes.'), id: z.uuid() })
export type Ref = z.output<typeof Ref>

/** The content of a notification. */
export const Notice = z.object({
  kind: Kind,
  /** The subject. Characters that break a line become spaces. */
  subject: z.string().min(1).max(10_000),
  text: z.string().max(50_000),
  /** The HTML of the e-mail, sent unchanged. By default it is made from the text. */
  html: z.string().max(200_000).optional(),
  ref: Ref.optional(),
  /** The project of the notification. People who may not see this project do not get the notification. */
  projectId: z.uuid().optional()
})
export type Notice = z.output<typeof Notice>

export const Told = Notice.extend({ to: z.uuid() })
export type Told = z.output<typeof Told>

/** A notification as its reader sees it. */
export const Entry = z.object({
  id: z.uuid(),
  kind: z.string(),
  subject: z.string(),
  text: z.string(),
  ref: z.object({ type: z.string(), id: z.uuid() }).nullable(),
  isRead: z.boolean(),
  createdAt: z.iso.datetime()
})
export type Entry = z.output<typeof Entry>
