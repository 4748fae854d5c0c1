// Defines a webhook and contains every statement on the table of webhooks. Its secret is stored encrypted and is used
// only to sign deliveries.

import { randomUUID } from 'node:crypto'
import { Conflict, NotFound, singleLine, sql, storableText, z } from 'bulkhead'
import type { Encryption, Log, Postgres, Transaction } from 'bulkhead'
import { changedFields, type Asker, type RecordChange } from './change.ts'
import type { Project } from './project.ts'

export const hookEvents = ['push', 'issue', 'mr', 'comment', 'build', 'deploy'] as const
export type HookEvent = (typeof hookEvents)[number]
const Events = z.array(z.enum(hookEvents)).min(1).transform(events => [...new Set(events)])

const Url = singleLine(2_000).refine(isTarget, 'It must be an http or https URL without a name and password in it.')
const Secret = storableText(255).min(8)

export const NewWebhook = z.object({ url: Url, events: Events, secret: Secret.nullish(), active: z.boolean().default(true) })
export const WebhookChange = z.object({ url: Url, events: Events, secret: Secret.nullable(), active: z.boolean() }).partial()

export const Webhook = z.object({
  id: z.uuid(),
  url: z.string(),
  events: z.array(z.string()),
  hasSecret: z.boolean(),
  active: z.boolean(),
  /** The number of consecutive failed attempts up to now. */
  failures: z.int(),
  disabledAt: z.iso.datetime().nullable(),
  disabledWhy: z.string().nullable(),
  createdAt: z.iso.datetime()
})
export type Webhook = z.infer<typeof Webhook>

const selection = sql.fragment`
  select
    w.id, w.url, w.events, w.secret is not null as "hasSecret", w.active, coalesce(s.failures, 0) as failures, s.disabled_at as "disabledAt",
    s.disabled_why as "disabledWhy", w.created_at as "createdAt"
  from webhooks w left join projects.webhook_state s on s.webhook_id = w.id
`

const webhooksMax = 50

export interface Webhooks {
  /** Creates a webhook. Rejects with `Conflict` when the project has 50 already. */
  create (by: Asker, project: Project, input: z.output<typeof NewWebhook>): Promise<Webhook>
  /** Lists the webhooks, oldest first. */
  list (projectId: string): Promise<{ items: Webhook[], total: number }>
  find (projectId: string, id: string): Promise<Webhook>
  /** Changes a webhook. Its failure count is reset when the address, the secret or `active` changes. */
  change (by: Asker, project: Project, id: string, change: z.output<typeof WebhookChange>): Promise<Webhook>
  remove (by: Asker, project: Project, id: string): Promise<void>
}

interface Parts { postgres: Postgres, encryption: Encryption, record: RecordChange }

export function createWebhooks ({ postgres, encryption, record }: Parts): Webhooks {
  const seal = (id: string, secret: string | null): string | null =>
    secret === null ? null : encryption.seal(secret, contextOf(id)).toString('base64')

  const create: Webhooks['create'] = (by, project, { url, events, secret = null, active }) => postgres.transaction(async tx => {
    // The lock makes the second of two concurrent requests count what the first has created.
    await tx.query(sql.type(z.object({ id: z.uuid() }))`select id from projects where id = ${project.id} for update`)
    const count = await tx.oneFirst(sql.type(z.object({ count: z.int() }))`select count(*) as count from webhooks where project_id = ${project.id}`)
    if (count >= webhooksMax) throw new Conflict(`A project has ${webhooksMax} webhooks at most. Delete one first.`)
    const id = randomUUID()
    await tx.query(sql.unsafe`
      insert into webhooks (id, project_id, url, events, secret, active)
      values (${id}, ${project.id}, ${url}, ${sql.array(events, 'text')}, ${seal(id, secret)}, ${active})
    `)
    const webhook = await tx.one(sql.type(Webhook)`${selection} where w.id = ${id}`)
    await record(tx, { by, action: 'webhook.create', project, id, payload: { webhook: webhookInEvent(webhook) }, detail: { ...webhookInEvent(webhook), events, active } })
    return webhook
  })

  const list: Webhooks['list'] = async projectId => {
    const items = await postgres.any(sql.type(Webhook)`${selection} where w.project_id = ${projectId} order by w.created_at, w.id`)
    return { items: [...items], total: items.length }
  }

  const find: Webhooks['find'] = async (projectId, id) =>
    await postgres.maybeOne(sql.type(Webhook)`${selection} where w.id = ${id} and w.project_id = ${projectId}`) ?? refuseUnknown()

  const change: Webhooks['change'] = (by, project, id, { secret, ...input }) => postgres.transaction(async tx => {
    const before = await hold(tx, project.id, id)
    const changes = [...changedFields(before, input), ...secret !== undefined ? ['secret'] : []]
    if (changes.length === 0) return before
    const { url, events, active } = { ...before, ...input }
    await tx.query(sql.unsafe`update webhooks set url = ${url}, events = ${sql.array(events, 'text')}, active = ${active} where id = ${id}`)
    if (secret !== undefined) await tx.query(sql.unsafe`update webhooks set secret = ${seal(id, secret)} where id = ${id}`)
    if (changes.some(name => name !== 'events')) await tx.query(sql.unsafe`delete from projects.webhook_state where webhook_id = ${id}`)
    const webhook = await tx.one(sql.type(Webhook)`${selection} where w.id = ${id}`)
    await record(tx, {
      by, action: 'webhook.change', project, id, payload: { webhook: webhookInEvent(webhook), changes }, detail: { ...webhookInEvent(webhook), changes }
    })
    return webhook
  })

  const remove: Webhooks['remove'] = (by, project, id) => postgres.transaction(async tx => {
    const webhook = await hold(tx, project.id, id)
    await tx.query(sql.unsafe`delete from webhooks where id = ${id}`)
    await record(tx, { by, action: 'webhook.delete', project, id, payload: { webhook: webhookInEvent(webhook) }, detail: webhookInEvent(webhook) })
  })

  return { create, list, find, change, remove }
}

/** Returns the context to which an encrypted secret is bound. */
export const contextOf = (id: string): readonly string[] => ['webhook', id]

/**
 * Selects the fields of a webhook that events contain. The query of the URL is left out, because it may hold a secret
 * that receivers of the event need not know.
 */
export function webhookInEvent ({ id, url }: Pick<Webhook, 'id' | 'url'>): { id: string, url: string } {
  const { origin, pathname } = new URL(url)
  return { id, url: `${origin}${pathname}` }
}

function isTarget (text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined
  return url !== undefined && ['http:', 'https:'].includes(url.protocol) && url.username === '' && url.password === '' && !/[\p{Cc}\p{Cs}\s]/u.test(text)
}

/** Locks a webhook, so that no other transaction changes it until this one ends. */
const hold = async (tx: Transaction, projectId: string, id: string): Promise<Webhook> =>
  await tx.maybeOne(sql.type(Webhook)`${selection} where w.id = ${id} and w.project_id = ${projectId} for update of w`) ?? refuseUnknown()

const refuseUnknown = (): never => { throw new NotFound('There is no such webhook.') }

/** Declares the encrypted secrets of webhooks, so that a change of the master key re-encrypts them. */
export function keepSecrets ({ postgres, encryption, log }: Pick<Parts, 'postgres' | 'encryption'> & { log: Log }): void {
  encryption.keeps('webhook-secrets', {
    pending: keyId => postgres.oneFirst(sql.type(z.object({ count: z.int() }))`
      select count(*) as count from webhooks where substring(decode(secret, 'base64') from 2 for 8) <> decode(${keyId}, 'hex')
    `),
    async rewrap (keyId, limit) {
      // Secrets that cannot be opened stay in the result of every query. The random order keeps them from hiding the
      // others.
      const rows = await postgres.any(sql.type(z.object({ id: z.uuid(), secret: z.string() }))`
        select id, coalesce(secret, '') as secret from webhooks
        where substring(decode(secret, 'base64') from 2 for 8) <> decode(${keyId}, 'hex') order by random() limit ${limit}
      `)
      let written = 0
      for (const { id, secret } of rows) {
        try {
          const sealed = encryption.seal(encryption.open(Buffer.from(secret, 'base64'), contextOf(id)), contextOf(id)).toString('base64')
          const { rowCount } = await postgres.query(sql.unsafe`update webhooks set secret = ${sealed} where id = ${id} and secret = ${secret}`)
          written += rowCount
        } catch (err) {
          log.error({ err, webhook: id }, 'the secret of a webhook cannot be opened; set it again')
        }
      }
      return written
    }
  })
}
