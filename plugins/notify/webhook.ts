// Stores a person's own webhook URL and posts to it.

import { AddressRefused, NotFound, singleLine, sql, z, type GuardedFetch, type Postgres } from 'bulkhead'
import { Undeliverable } from './mail.ts'

/**
 * The URL parser ignores control characters, but the database would store them; `singleLine` therefore refuses them
 * first.
 */
export const WebhookUrl = singleLine(2_000).pipe(z.url({ protocol: /^https?$/ }))
  .refine(text => { const url = URL.parse(text); return url === null || (url.username === '' && url.password === '') }, 'It must hold no name and no password.')
export const Webhook = z.object({ url: z.string(), createdAt: z.iso.datetime() })
export type Webhook = z.output<typeof Webhook>

export interface Posted {
  readonly id: string
  readonly kind: string
  readonly subject: string
  readonly text: string
  readonly ref: { readonly type: string, readonly id: string } | null
  readonly createdAt: string
}

export interface Webhooks {
  find (userId: string): Promise<Webhook | undefined>
  set (userId: string, url: string): Promise<Webhook>
  remove (userId: string): Promise<void>
  post (url: string, posted: Posted): Promise<void>
}

/** Client error statuses that ask for a later or slower request, and so are worth a retry. */
const triedAgain = new Set([408, 425, 429])

export function createWebhooks ({ postgres, fetch }: { postgres: Postgres, fetch: GuardedFetch }): Webhooks {
  return {
    find: async userId => await postgres.maybeOne(sql.type(Webhook)`
      select url, created_at as "createdAt" from notify.webhook where user_id = ${userId}
    `) ?? undefined,
    set: (userId, url) => postgres.one(sql.type(Webhook)`
      insert into notify.webhook (user_id, url) values (${userId}, ${url})
      on conflict (user_id) do update set url = excluded.url, created_at = now()
      returning url, created_at as "createdAt"
    `),
    async remove (userId) {
      const { rowCount } = await postgres.query(sql.type(z.object({}))`delete from notify.webhook where user_id = ${userId}`)
      if (rowCount === 0) throw new NotFound('You have no webhook.')
    },
    async post (url, posted) {
      const { status } = await fetch(url, {
        method: 'POST', body: JSON.stringify(posted), maxBytes: 100_000,
        headers: { 'content-type': 'application/json', 'x-platform-event': posted.kind, 'x-platform-delivery': posted.id }
      }).catch((error: unknown) => {
        if (error instanceof AddressRefused) throw new Undeliverable(error.message, { cause: error })
        throw error
      })
      if (status >= 200 && status < 300) return
      if (status >= 400 && status < 500 && !triedAgain.has(status)) throw new Undeliverable(`the webhook answered ${status}`)
      throw new Error(`the webhook answered ${status}`)
    }
  }
}
