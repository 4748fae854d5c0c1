// Sends one mail to one person while the caller waits, and stores nothing in tables, jobs or the inbox. It is for
// content that only its reader may see.

import { randomUUID } from 'node:crypto'
import { Conflict, ServiceUnavailable, type Access, type Clock, type Log } from 'bulkhead'
import { Undeliverable, type Mailer } from './mail.ts'

/**
 * Sends the mail. Rejects with `Conflict` for a user who is not active or has no usable address, and with
 * `ServiceUnavailable` when the mail server does not accept the mail.
 */
export type MailNow = (userId: string, mail: { subject: string, text: string }) => Promise<void>

interface MailNowParts {
  readonly access: Access
  readonly clock: Clock
  readonly mailer: Mailer
  readonly log: Log
}

/** The time limit in milliseconds. It is short because a caller waits for the answer. */
const totalMs = 10_000

export function createMailNow ({ access, clock, mailer, log }: MailNowParts): MailNow {
  return async (userId, { subject, text }) => {
    const contact = await access.contact(userId)
    if (contact === undefined) throw new Conflict('This user is not active, so no mail is sent to them.')
    const to = { name: contact.displayName ?? contact.name, address: contact.email }
    try {
      await mailer.send({ id: randomUUID(), to, subject, text, html: null, createdAt: new Date(clock.now()).toISOString() }, totalMs)
    } catch (cause) {
      log.warn({ err: cause, user: userId }, 'a mail that a caller waits for was not sent; the caller is told so')
      if (cause instanceof Undeliverable) throw new Conflict('The mail cannot be sent to the address of this user.', { cause })
      throw new ServiceUnavailable('The mail server did not take the mail. Try again later.', { cause, retryAfterMs: 60_000 })
    }
  }
}
