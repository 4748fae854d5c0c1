// Sends mail over SMTP. Only this file imports nodemailer.

import { isIP } from 'node:net'
import { createTransport } from 'nodemailer'
import { toHtml, toLine } from './text.ts'

export interface MailSettings {
  readonly host: string
  readonly port: number
  readonly from: string
  readonly username: string
  readonly password: string
}

export interface Mail {
  /** The id of the mail. It is the same in every attempt, so a mail client shows a repeated mail only once. */
  readonly id: string
  readonly to: { readonly name: string, readonly address: string }
  readonly subject: string
  readonly text: string
  readonly html: string | null
  /** ISO 8601. */
  readonly createdAt: string
}

/** Thrown when a retry would be useless. */
export class Undeliverable extends Error {
  override readonly name = 'Undeliverable'
}

export interface Mailer {
  /** Sends a mail. Rejects when the mail server has not accepted it within `totalMs`; the default is 40 s. */
  send (mail: Mail, totalMs?: number): Promise<void>
}

const waitMs = 10_000
/** The default time limit of one mail, from opening the connection to the server's last answer. */
const defaultTotalMs = 40_000
/**
 * Matches exactly one plain address. It refuses text that a mail server could read as another address or as several.
 */
const oneAddress = /^[^\s\p{Cc}@<>,;:"()[\]\\]+@[^\s\p{Cc}@<>,;:"()[\]\\]+$/u

export function createMailer ({ host, port, from, username, password }: MailSettings): Mailer {
  const hasLogin = username !== ''
  const isImplicit = port === 465
  // A password is sent only over an encrypted connection, and only to a server with a valid certificate. A loopback
  // server on a port other than 465 needs neither.
  const mustEncrypt = !isImplicit && hasLogin && !isLoopback(host)
  const transport = createTransport({
    host, port, secure: isImplicit, requireTLS: mustEncrypt, tls: { rejectUnauthorized: isImplicit || mustEncrypt },
    ...hasLogin && { auth: { user: username, pass: password } },
    connectionTimeout: waitMs, greetingTimeout: waitMs, socketTimeout: 2 * waitMs, dnsTimeout: waitMs,
    disableFileAccess: true, disableUrlAccess: true
  })
  const domain = from.slice(from.lastIndexOf('@') + 1)

  return {
    async send ({ id, to, subject, text, html, createdAt }, totalMs = defaultTotalMs) {
      if (!oneAddress.test(to.address)) throw new Undeliverable('mail cannot be sent to this address')
      const line = toLine(subject)
      const sent = transport.sendMail({
        from: { name: 'Bulkhead', address: from },
        to: { name: toLine(to.name), address: to.address },
        // The envelope fixes the recipient, whatever the headers contain.
        envelope: { from, to: [to.address] },
        messageId: `<${id}@${domain}>`,
        date: new Date(createdAt),
        headers: { 'Auto-Submitted': 'auto-generated', 'X-Auto-Response-Suppress': 'All' },
        subject: line, text, html: html ?? toHtml(line, text)
      })
      // The time-outs of nodemailer apply to single steps; this one applies to the whole mail.
      const inTime = AbortSignal.timeout(totalMs)
      const late = new Promise<never>((_resolve, reject) => inTime.addEventListener('abort', () => {
        reject(new Error(`the mail server had not taken it within ${totalMs} ms`, { cause: inTime.reason }))
      }, { once: true }))
      try {
        await Promise.race([sent, late])
      } catch (error) {
        if (isRefusedForGood(error)) throw new Undeliverable(`the mail server refuses it: ${(error as Error).message}`, { cause: error })
        throw error
      }
    }
  }
}

const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))

/**
 * Tells whether the server permanently refused this recipient or this message, and not only this connection or login.
 */
function isRefusedForGood (error: unknown): boolean {
  const { responseCode = 0, code = '' } = error as { responseCode?: number, code?: string }
  return responseCode >= 500 && (code === 'EENVELOPE' || code === 'EMESSAGE')
}
