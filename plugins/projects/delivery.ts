// Deliveries to webhooks and their log. Each delivery is a row, written in the transaction of the change that it
// reports, and a job that sends it.

import { Conflict, NotFound, sql, z } from 'bulkhead'
import type { Access, Clock, Postgres, Tasks, Transaction } from 'bulkhead'
import type { Announce, Asker } from './change.ts'
import type { Listed, Page } from './form.ts'
import { deliveryStates } from './move.ts'
import { byMoment } from './page.ts'
import type { Project } from './project.ts'
import { webhookInEvent, type Webhook } from './webhook.ts'

export const Delivery = z.object({
  id: z.uuid(),
  redeliveryOf: z.uuid().nullable(),
  event: z.string(),
  status: z.enum(deliveryStates),
  attempts: z.int(),
  /** The HTTP status of the last answer; null when there was none. */
  answered: z.int().nullable(),
  error: z.string().nullable(),
  durationMs: z.int().nullable(),
  attemptedAt: z.iso.datetime().nullable(),
  nextAttemptAt: z.iso.datetime().nullable(),
  createdAt: z.iso.datetime()
})
export type Delivery = z.infer<typeof Delivery>
export const WholeDelivery = Delivery.extend({ payload: z.string() })
export type WholeDelivery = z.infer<typeof WholeDelivery>

/** The name of the queue, and the input of its jobs. */
export const queueName = 'deliver'
export const Job = z.object({ deliveryId: z.uuid(), attempt: z.int() })

export const deliveryColumns = sql.fragment`
  id, redelivery_of as "redeliveryOf", event, status, attempts, answered, error, duration_ms as "durationMs", attempted_at as "attemptedAt",
  next_attempt_at as "nextAttemptAt", created_at as "createdAt"
`

/** Limits of the stored deliveries of each webhook, in number and days. Pending deliveries are not deleted. */
const keptMax = 200
const keptDays = 30

export interface Deliveries {
  readonly announce: Announce
  /**
   * Sends a test delivery that reports no change, to check that it arrives. Rejects with `Conflict` while the webhook
   * is switched off; `redeliver` does so too.
   */
  ping (by: Asker, project: Project, webhook: Webhook): Promise<Delivery>
  /** Sends the same payload once more, as a new delivery. */
  redeliver (by: Asker, project: Project, webhook: Webhook, id: string): Promise<Delivery>
  /** Lists the deliveries, newest first. */
  list (webhookId: string, page: Page): Promise<Listed<Delivery>>
  find (webhookId: string, id: string): Promise<WholeDelivery>
  /** Deletes the deliveries beyond these limits. Resolves with their number. */
  trim (): Promise<number>
}

interface Content { event: string, payload: string, redeliveryOf?: string }
interface Parts { postgres: Postgres, access: Access, tasks: Tasks, clock: Clock }

export function createDeliveries ({ postgres, access, tasks, clock }: Parts): Deliveries {
  const add = async (tx: Transaction, webhookId: string, { event, payload, redeliveryOf }: Content): Promise<Delivery> => {
    const delivery = await tx.one(sql.type(Delivery)`
      insert into projects.delivery (webhook_id, redelivery_of, event, payload, next_attempt_at, answered, error, duration_ms, attempted_at)
      values (${webhookId}, ${redeliveryOf ?? null}, ${event}, ${payload}, ${new Date(clock.now()).toISOString()}, null, null, null, null)
      returning ${deliveryColumns}
    `)
    await send(tasks, tx, { webhookId, deliveryId: delivery.id, attempt: 1, afterMs: 0 })
    return delivery
  }

  const announce: Announce = async (tx, projectId, event, payload) => {
    const webhooks = await tx.anyFirst(sql.type(z.object({ id: z.uuid() }))`
      select id from webhooks where project_id = ${projectId} and active and ${event} = any(events)
    `)
    for (const webhookId of webhooks) await add(tx, webhookId, { event, payload: JSON.stringify({ event, ...payload }) })
  }

  const addFor = (by: Asker, project: Project, webhook: Webhook, action: 'webhook.ping' | 'webhook.redeliver', content: Content): Promise<Delivery> => {
    if (!webhook.active) throw new Conflict('The webhook is switched off. Switch it on first.')
    return postgres.transaction(async tx => {
      const delivery = await add(tx, webhook.id, content)
      await access.audit.record(tx, {
        actor: by.user, action, resource: 'webhook', resourceId: webhook.id, projectId: project.id,
        detail: { ...webhookInEvent(webhook), deliveryId: delivery.id }, origin: { address: by.ip }
      })
      return delivery
    })
  }

  const ping: Deliveries['ping'] = async (by, project, webhook) => {
    const { id, name, ownerId } = project
    const payload = { event: 'ping', project: { id, name, ownerId }, at: new Date(clock.now()).toISOString(), webhook: { id: webhook.id, events: webhook.events } }
    return addFor(by, project, webhook, 'webhook.ping', { event: 'ping', payload: JSON.stringify(payload) })
  }

  const redeliver: Deliveries['redeliver'] = async (by, project, webhook, id) => {
    const { event, payload } = await find(webhook.id, id)
    return addFor(by, project, webhook, 'webhook.redeliver', { event, payload, redeliveryOf: id })
  }

  const list: Deliveries['list'] = async (webhookId, { limit, cursor }) => {
    const [fromUs = null, fromId = null] = byMoment.read(cursor) ?? []
    const [rows, total] = await Promise.all([
      postgres.any(sql.type(Delivery.extend({ createdUs: z.int() }))`
        select ${deliveryColumns}, (extract(epoch from created_at) * 1000000)::bigint as "createdUs" from projects.delivery
        where webhook_id = ${webhookId}
          and (${fromUs}::bigint is null or ((extract(epoch from created_at) * 1000000)::bigint, id) < (${fromUs}::bigint, ${fromId}::uuid))
        order by created_at desc, id desc limit ${limit + 1}
      `),
      postgres.oneFirst(sql.type(z.object({ total: z.int() }))`select count(*) as total from projects.delivery where webhook_id = ${webhookId}`)
    ])
    return byMoment.page(rows, limit, total, ({ createdUs, id }) => [createdUs, id])
  }

  const find: Deliveries['find'] = async (webhookId, id) => {
    const delivery = await postgres.maybeOne(sql.type(WholeDelivery)`
      select ${deliveryColumns}, payload from projects.delivery where id = ${id} and webhook_id = ${webhookId}
    `)
    if (delivery === null) throw new NotFound('There is no such delivery.')
    return delivery
  }

  const trim: Deliveries['trim'] = async () => (await postgres.query(sql.unsafe`
    delete from projects.delivery d
    using (select id, row_number() over (partition by webhook_id order by created_at desc, id desc) as place from projects.delivery) as placed
    where placed.id = d.id and d.status <> 'pending' and (placed.place > ${keptMax} or d.created_at < now() - make_interval(days => ${keptDays}))
  `)).rowCount

  return { announce, ping, redeliver, list, find, trim }
}

interface Sent { webhookId: string, deliveryId: string, attempt: number, afterMs: number }

/** Queues an attempt. Jobs of one webhook run one at a time: a slow receiver delays its own deliveries only. */
export const send = (tasks: Tasks, tx: Transaction, { webhookId, deliveryId, attempt, afterMs }: Sent): Promise<string> =>
  tasks.send(queueName, { deliveryId, attempt } satisfies z.input<typeof Job>, { in: tx, key: webhookId, ...afterMs > 0 && { after: afterMs } })
