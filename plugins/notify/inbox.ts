// The inbox of notifications of each person: it is listed, counted, marked as read, and read onwards from a sequence
// number.

import { NotFound, sql, z, type Postgres, type Transaction } from 'bulkhead'
import type { Entry, Notice } from './form.ts'

const Row = z.object({
  id: z.uuid(), kind: z.string(), subject: z.string(), text: z.string().nullable(), refType: z.string().nullable(), refId: z.uuid().nullable(),
  status: z.string(), createdAt: z.iso.datetime()
})
const Numbered = Row.extend({ seq: z.int() })
const Count = z.object({ count: z.int() })

export interface Inbox {
  /** Lists the notifications of a person, newest first. */
  list (userId: string, page: { limit: number, offset: number, unread: boolean }): Promise<{ items: Entry[], total: number, unread: number }>
  unread (userId: string): Promise<number>
  /** Marks a notification as read. Rejects with `NotFound` when it is not the person's own. */
  read (userId: string, id: string): Promise<Entry>
  /** Marks all as read. Resolves with the number that were unread. */
  readAll (userId: string): Promise<number>
  /** Resolves with the number of the latest notification; 0 before the first. */
  lastSeq (userId: string): Promise<number>
  /** Lists the notifications after a number, in order. */
  after (userId: string, seq: number, limit: number): Promise<readonly { seq: number, entry: Entry }[]>
}

export function createInbox (postgres: Postgres): Inbox {
  const unread: Inbox['unread'] = userId => postgres.oneFirst(sql.type(Count)`
    select count(*) as count from public.notifications where user_id = ${userId} and channel = 'in_app' and status in ('pending', 'sent')
  `)

  return {
    unread,
    async list (userId, { limit, offset, unread: isUnreadOnly }) {
      const rows = await postgres.any(sql.type(Row)`
        select id, notification_type as kind, subject, body as text, ref_type as "refType", ref_id as "refId", status, created_at as "createdAt"
        from public.notifications
        where user_id = ${userId} and channel = 'in_app' and status = any(${sql.array(isUnreadOnly ? ['pending', 'sent'] : ['pending', 'sent', 'read'], 'text')})
        order by created_at desc, id limit ${limit} offset ${offset}
      `)
      const count = await unread(userId)
      const total = isUnreadOnly ? count : await postgres.oneFirst(sql.type(Count)`
        select count(*) as count from public.notifications where user_id = ${userId} and channel = 'in_app' and status <> 'failed'
      `)
      return { items: rows.map(toEntry), total, unread: count }
    },
    async read (userId, id) {
      const row = await postgres.maybeOne(sql.type(Row)`
        update public.notifications set status = 'read'
        where id = ${id} and user_id = ${userId} and channel = 'in_app' and status in ('pending', 'sent', 'read')
        returning id, notification_type as kind, subject, body as text, ref_type as "refType", ref_id as "refId", status, created_at as "createdAt"
      `)
      if (row === null) throw new NotFound('There is no such notification.')
      return toEntry(row)
    },
    readAll: async userId => (await postgres.query(sql.type(z.object({}))`
      update public.notifications set status = 'read' where user_id = ${userId} and channel = 'in_app' and status in ('pending', 'sent')
    `)).rowCount,
    lastSeq: async userId => await postgres.maybeOneFirst(sql.type(z.object({ seq: z.int() }))`
      select last_seq as seq from notify.inbox where user_id = ${userId}
    `) ?? 0,
    async after (userId, seq, limit) {
      const rows = await postgres.any(sql.type(Numbered)`
        select
          n.id, n.notification_type as kind, n.subject, n.body as text, n.ref_type as "refType", n.ref_id as "refId", n.status, n.created_at as "createdAt", e.seq
        from notify.entry e join public.notifications n on n.id = e.notification_id
        where e.user_id = ${userId} and e.seq > ${seq}
        order by e.seq limit ${limit}
      `)
      return rows.map(row => ({ seq: row.seq, entry: toEntry(row) }))
    }
  }
}

const toEntry = ({ id, kind, subject, text, refType, refId, status, createdAt }: z.output<typeof Row>): Entry => ({
  id, kind, subject, text: text ?? '', ref: refType === null || refId === null ? null : { type: refType, id: refId }, isRead: status === 'read', createdAt
})

/** Adds a notification to the inbox. The transaction must hold the row of `notify.inbox`. */
export async function addEntry (tx: Transaction, userId: string, id: string, { kind, subject, text, ref }: Notice): Promise<void> {
  await tx.query(sql.type(z.object({}))`
    insert into public.notifications (id, user_id, notification_type, subject, body, channel, status, ref_type, ref_id)
    values (${id}, ${userId}, ${kind}, ${subject}, ${text}, 'in_app', 'sent', ${ref?.type ?? null}, ${ref?.id ?? null})
  `)
  await tx.query(sql.type(z.object({}))`
    with next as (update notify.inbox set last_seq = last_seq + 1 where user_id = ${userId} returning last_seq)
    insert into notify.entry (notification_id, user_id, seq) select ${id}, ${userId}, last_seq from next
  `)
}
