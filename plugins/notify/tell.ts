// Sends one notification to one person: on the channels that the person wants, at most a hundred per hour, and only
// once for repeated requests.

import { createHash } from 'node:crypto'
import { sql, z, type Access, type Clock, type Postgres, type Tasks, type Transaction } from 'bulkhead'
import { channels, type Channel, type Mode, type Notice, type Told } from './form.ts'
import { addEntry } from './inbox.ts'
import { dueAt } from './period.ts'
import type { Preferences } from './preference.ts'
import { toLine, toText } from './text.ts'
import type { MaySee } from './visibility.ts'
import type { Webhooks } from './webhook.ts'

export interface TellParts {
  readonly postgres: Postgres
  readonly access: Access
  readonly clock: Clock
  readonly tasks: Tasks
  readonly preferences: Preferences
  readonly webhooks: Webhooks
  readonly maySee: MaySee
  readonly hasMail: boolean
  /** Makes the streams of this person's inbox read it again. */
  wake (userId: string): Promise<void>
}

/** Sends a notification. `source` identifies its cause: a notification from the same source is sent only once. */
export type Tell = (source: string, told: Told) => Promise<void>

/** The maximum number of immediate notifications of one person per hour, on all channels together. */
const hourlyMax = 100

export function createTell ({ postgres, access, clock, tasks, preferences, webhooks, maySee, hasMail, wake }: TellParts): Tell {
  return async (source, { to, ...told }) => {
    if (await access.contact(to) === undefined) return
    if (told.projectId !== undefined && !await maySee(to, told.projectId)) return
    const notice = { ...told, subject: toLine(told.subject), text: toText(told.text) }
    const wanted = await preferences.modesOf(to, notice.kind)
    const modes = { ...wanted, email: hasMail ? wanted.email : 'off', webhook: await webhooks.find(to) === undefined ? 'off' : wanted.webhook } as const
    // A notification that no channel sends at once does not count towards the hourly limit.
    const isUrgent = Object.values(modes).includes('now')
    if (!isUrgent && modes.email === 'off') return
    const ids = Object.fromEntries(channels.map(channel => [channel, idOf(source, to, channel)])) as Record<Channel, string>

    await postgres.transaction(async tx => {
      const { lately } = await holdInbox(tx, to)
      if (await isTold(tx, Object.values(ids))) return
      if (isUrgent && lately >= hourlyMax) {
        const later = { inApp: modes.in_app !== 'off', email: modes.email !== 'off', dueAt: dueAt(modes.email === 'daily' ? 'daily' : 'hourly', clock.now()) }
        await gather(tx, ids.in_app, to, notice, later)
        return
      }
      if (isUrgent) await count(tx, to)
      if (modes.in_app !== 'off') await addEntry(tx, to, ids.in_app, notice)
      for (const channel of ['email', 'webhook'] as const) {
        if (modes[channel] === 'now') await hand(tx, tasks, channel, ids[channel], to, notice)
      }
      if (isPutOff(modes.email)) await gather(tx, ids.email, to, notice, { inApp: false, email: true, dueAt: dueAt(modes.email, clock.now()) })
    })
    await wake(to)
  }
}

const isPutOff = (mode: Mode): mode is 'hourly' | 'daily' => mode === 'hourly' || mode === 'daily'

/**
 * Locks the inbox of a person, so that transactions that add to it run one after the other. `lately` is the number of
 * notifications sent within the last hour.
 */
export async function holdInbox (tx: Transaction, userId: string): Promise<{ lately: number }> {
  return tx.one(sql.type(z.object({ lately: z.int() }))`
    insert into notify.inbox as inbox (user_id) values (${userId}) on conflict (user_id) do update set user_id = excluded.user_id
    returning (select count(*) from unnest(inbox.recent) as at where at > now() - interval '1 hour') as lately
  `)
}

const isTold = (tx: Transaction, ids: readonly string[]): Promise<boolean> => tx.oneFirst(sql.type(z.object({ is: z.boolean() }))`
  select exists (select from public.notifications where id = any(${sql.array(ids, 'uuid')}))
    or exists (select from notify.gathered where id = any(${sql.array(ids, 'uuid')})) as is
`)

async function count (tx: Transaction, userId: string): Promise<void> {
  await tx.query(sql.type(z.object({}))`
    update notify.inbox set recent = array(select at from unnest(recent) as at where at > now() - interval '1 hour' order by at) || now()
    where user_id = ${userId}
  `)
}

/** Queues a delivery, together with the row that records its progress. */
export async function hand (tx: Transaction, tasks: Tasks, channel: 'email' | 'webhook', id: string, userId: string, notice: Notice): Promise<void> {
  const { kind, subject, text, html, ref, projectId } = notice
  await tx.query(sql.type(z.object({}))`
    insert into public.notifications (id, user_id, notification_type, subject, body, channel, status, ref_type, ref_id)
    values (${id}, ${userId}, ${kind}, ${subject}, ${text}, ${channel}, 'pending', ${ref?.type ?? null}, ${ref?.id ?? null})
  `)
  await tx.query(sql.type(z.object({}))`
    insert into notify.delivery (notification_id, project_id, html, error, sent_at) values (${id}, ${projectId ?? null}, ${html ?? null}, null, null)
  `)
  await tasks.send('deliver', { id }, { in: tx })
}

interface Later { readonly inApp: boolean, readonly email: boolean, readonly dueAt: string }

async function gather (
  tx: Transaction, id: string, userId: string, { kind, subject, projectId }: Notice, { inApp, email, dueAt }: Later
): Promise<void> {
  if (!inApp && !email) return
  await tx.query(sql.type(z.object({}))`
    insert into notify.gathered (id, user_id, kind, subject, project_id, in_app, email, due_at)
    values (${id}, ${userId}, ${kind}, ${subject}, ${projectId ?? null}, ${inApp}, ${email}, ${dueAt})
  `)
}

/** Derives a UUID from the parts. It is the same in every attempt. */
export function idOf (...parts: readonly string[]): string {
  const hex = createHash('sha256').update(parts.join('\n')).digest('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join('-')
}
