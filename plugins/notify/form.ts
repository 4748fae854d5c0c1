// What a notification is made of, as senders, routes and jobs have it.

import { z } from 'bulkhead'

export const channels = ['in_app', 'email', 'webhook'] as const
export type Channel = (typeof channels)[number]
export const modes = ['now', 'hourly', 'daily', 'off'] as const
export type Mode = (typeof modes)[number]

/** `issue.assigned`: what a person turns on and off. */
export const Kind = z.string().max(64).regex(/^[a-z][a-z0-9]*(?:[.-][a-z0-9]+)*$/, 'It must be lower-case letters and digits, with dots or dashes between.')

export const Ref = z.object({ type: z.string().regex(/^[a-z][a-z0-9-]{0,63}$/, 'It must be lower-case letters, digits and dashes.'), id: z.uuid() })
export type Ref = z.output<typeof Ref>

/** What one person is told. */
export const Notice = z.object({
  kind: Kind,
  /** Whatever breaks a line becomes a space. */
  subject: z.string().min(1).max(10_000),
  text: z.string().max(50_000),
  /** For e-mail, sent as it is; made from the text unless given. */
  html: z.string().max(200_000).optional(),
  ref: Ref.optional(),
  /** Nobody is told of a project they may not see. */
  projectId: z.uuid().optional()
})
export type Notice = z.output<typeof Notice>

export const Told = Notice.extend({ to: z.uuid() })
export type Told = z.output<typeof Told>

/** As its reader sees it. */
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
