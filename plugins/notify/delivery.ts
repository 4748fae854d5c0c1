// Sends one mail, or posts to one webhook, as a job. Delivery is at least once; all attempts carry the same id.

import { sql, z, type Access, type Postgres, type QueueRun } from 'bulkhead'
import { Undeliverable, type Mailer } from './mail.ts'
import { toText } from './text.ts'
import type { MaySee } from './visibility.ts'
import type { Webhooks } from './webhook.ts'

export const DeliverJob = z.object({ id: z.uuid() })
/** The retries take about half an hour in all; the delay doubles from 2 s. */
export const deliverRetry = { limit: 10, backoff: 'exponential', delay: '2s' } as const

const Row = z.object({
  userId: z.uuid(), channel: z.enum(['in_app', 'email', 'webhook']), status: z.string(), kind: z.string(), subject: z.string(), text: z.string().nullable(),
  refType: z.string().nullable(), refId: z.uuid().nullable(), createdAt: z.iso.datetime(), html: z.string().nullable(), projectId: z.uuid().nullable()
})

interface DeliveryParts {
  readonly postgres: Postgres
  readonly access: Access
  /** The mail client; undefined when no mail server is configured. */
  readonly mailer: Mailer | undefined
  readonly webhooks: Webhooks
  readonly maySee: MaySee
}

export function createDelivery (
  { postgres, access, mailer, webhooks, maySee }: DeliveryParts
): (run: QueueRun<z.output<typeof DeliverJob>>) => Promise<void> {
  const settle = (id: string, status: 'pending' | 'sent' | 'failed', attempt: number, error: string | null): Promise<void> => postgres.transaction(async tx => {
    await tx.query(sql.type(z.object({}))`update public.notifications set status = ${status} where id = ${id} and status in ('pending', 'failed')`)
    await tx.query(sql.type(z.object({}))`
      update notify.delivery set attempts = ${attempt}, error = ${error === null ? null : toText(error.slice(0, 2_000))}, sent_at = case when ${status} = 'sent' then now() end
      where notification_id = ${id} and sent_at is null
    `)
  })

  const send = async (id: string, row: z.output<typeof Row>): Promise<void> => {
    const { userId, channel, kind, subject, html, projectId, refType, refId, createdAt } = row
    const text = row.text ?? ''
    const contact = await access.contact(userId)
    if (contact === undefined) throw new Undeliverable('the user is not active any more')
    if (projectId !== null && !await maySee(userId, projectId)) throw new Undeliverable('the user may not see the project any more')
    if (channel === 'email') {
      if (mailer === undefined) throw new Undeliverable('no mail server is set')
      await mailer.send({ id, to: { name: contact.displayName ?? contact.name, address: contact.email }, subject, text, html, createdAt })
      return
    }
    const webhook = await webhooks.find(userId)
    if (webhook === undefined) throw new Undeliverable('the user has no webhook any more')
    const ref = refType === null || refId === null ? null : { type: refType, id: refId }
    await webhooks.post(webhook.url, { id, kind, subject, text, ref, createdAt })
  }

  // The job ignores the run's signal: a delivery that has begun is finished within the drain, so that it is not sent
  // twice.
  return async ({ input: { id }, attempt, log }) => {
    const row = await postgres.maybeOne(sql.type(Row)`
      select
        n.user_id as "userId", n.channel, n.status, n.notification_type as kind, n.subject, n.body as text, n.ref_type as "refType", n.ref_id as "refId",
        n.created_at as "createdAt", d.html, d.project_id as "projectId"
      from public.notifications n join notify.delivery d on d.notification_id = n.id
      where n.id = ${id}
    `)
    // The row is gone when its user was deleted. It may also have been sent by an attempt whose completion was lost.
    if (row === null || row.status === 'sent') return
    try {
      await send(id, row)
    } catch (error) {
      const isForGood = error instanceof Undeliverable
      await settle(id, isForGood || attempt > deliverRetry.limit ? 'failed' : 'pending', attempt, (error as Error).message)
      if (!isForGood) throw error
      log.warn({ err: error, notification: id, channel: row.channel }, `a notification could not be delivered, and is not tried again: ${error.message}`)
      return
    }
    await settle(id, 'sent', attempt, null)
  }
}
