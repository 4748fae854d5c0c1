// Notifies people in the platform, live, by e-mail and by webhook. Notifications come from the events of other plugins
// and from plugins that call `send`.

import { definePlugin, z, type SendOptions } from 'bulkhead'
import { createDelivery, DeliverJob, deliverRetry } from './delivery.ts'
import { createDigest } from './digest.ts'
import { readings } from './event.ts'
import { Notice, Told } from './form.ts'
import { createInbox } from './inbox.ts'
import { createMailer } from './mail.ts'
import { createMailNow, type MailNow } from './mail-now.ts'
import { createPreferences } from './preference.ts'
import { registerRoutes } from './route.ts'
import { createStreams } from './stream.ts'
import { createTell } from './tell.ts'
import { html, storableOf } from './text.ts'
import { createMaySee } from './visibility.ts'
import { createWebhooks } from './webhook.ts'

export interface Notify {
  /**
   * Sends a notification in the background; with `in`, only if that transaction commits. Rejects with
   * `ValidationFailed` for an invalid notification.
   */
  send (userId: string, notice: z.input<typeof Notice>, options?: Pick<SendOptions, 'in'>): Promise<void>
  /**
   * Sends a mail at once and stores nothing, for content that only its reader may see. It is undefined when no mail
   * server is configured.
   */
  readonly mailNow: MailNow | undefined
  /** A template tag for the `html` of a notification. It escapes the values. */
  html: typeof html
}

declare module 'bulkhead' {
  interface Services { notify: Notify }
}

const Changed = z.object({ userId: z.uuid() })
const changed = 'notify.inbox'

export default definePlugin({
  config: {
    smtpHost: { doc: 'Mail server (SMTP); empty: no mail is sent', format: 'string', default: '', env: 'PLATFORM_SMTP_HOST' },
    smtpPort: { doc: 'Port of the mail server; 465 is TLS from the start', format: 'port', default: 587, env: 'PLATFORM_SMTP_PORT' },
    smtpFrom: { doc: 'Sender of the mails', format: 'email', default: 'platform@localhost', env: 'PLATFORM_SMTP_FROM' },
    smtpUsername: { doc: 'User name at the mail server; empty: no sign-in', format: 'string', default: '', env: 'PLATFORM_SMTP_USERNAME' },
    smtpPassword: { doc: 'Password at the mail server', format: 'string', default: '', env: 'PLATFORM_SMTP_PASSWORD', sensitive: true },
    heartbeatMs: { doc: 'Interval between signs of life in a stream of notifications', format: 'milliseconds', default: 15_000, env: 'NOTIFY_HEARTBEAT_MS' }
  },

  start ({ routes, tasks, events, timers, postgres, access, fetch, clock, config, log }): Notify {
    const { smtpHost, smtpPort, smtpFrom, smtpUsername, smtpPassword, heartbeatMs } = config
    const mailer = smtpHost === '' ? undefined : createMailer({ host: smtpHost, port: smtpPort, from: smtpFrom, username: smtpUsername, password: smtpPassword })
    const inbox = createInbox(postgres)
    const preferences = createPreferences(postgres)
    const webhooks = createWebhooks({ postgres, fetch })
    const maySee = createMaySee({ postgres, access })
    const streams = createStreams({ inbox, access, log })

    const wake = (userId: string): Promise<void> => events.broadcast(changed, { userId })
      .catch((err: unknown) => log.debug({ err }, 'the other replicas could not be notified of a notification; their streams see it with the next beat'))
    events.onBroadcast(changed, Changed, ({ userId }) => streams.wake(userId))
    timers.every(heartbeatMs, () => streams.beat())

    const parts = { postgres, access, clock, tasks, preferences, webhooks, maySee, hasMail: mailer !== undefined, wake }
    const tell = createTell(parts)
    for (const [event, { schema, read }] of Object.entries(readings)) {
      events.on(event, schema, async ({ id, payload }) => { for (const told of read(payload)) await tell(id, told) })
    }
    tasks.queue('tell', { input: Told }, ({ id, input }) => tell(id, input))
    tasks.queue('deliver', { input: DeliverJob, retry: deliverRetry }, createDelivery({ postgres, access, mailer, webhooks, maySee }))
    const digest = createDigest(parts)
    tasks.every('digest', '1m', ({ log, signal }) => digest(log, signal))

    registerRoutes(routes, { inbox, preferences, webhooks, streams, wake })
    return {
      send: async (userId, notice, options) => { await tasks.send('tell', { ...storableOf(notice), to: userId }, options) },
      mailNow: mailer && createMailNow({ access, clock, mailer, log }),
      html
    }
  }
})
