// Sends mail over SMTP; the one file that knows nodemailer.

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
  /** The same in every attempt: whoever gets it twice sees it once. */
  readonly id: string
  readonly to: { readonly name: string, readonly address: string }
  readonly subject: string
  readonly text: string
  readonly html: string | null
  /** ISO 8601. */
  readonly createdAt: string
}

/** Trying again would be of no use. */
export class Undeliverable extends Error {
  override readonly name = 'Undeliverable'
}

export interface Mailer {
  /** Rejects when the mail server has not taken it within `totalMs`, 40 s unless said. */
  send (mail: Mail, totalMs?: number): Promise<void>
}

const waitMs = 10_000
/** For one mail, from the connection to the last word. */
const defaultTotalMs = 40_000
/** What another mail server could read as two addresses, or as more than one. */
const oneAddress = /^[^\s\p{Cc}@<>,;:"()[\]\\]+@[^\s\p{Cc}@<>,;:"()[\]\\]+$/u

export function createMailer ({ host, port, from, username, password }: MailSettings): Mailer {
  const hasLogin = username !== ''
  const isImplicit = port === 465
  // A password goes over the network in the open nowhere, and to nobody but the one it is for.
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
      if (!oneAddress.test(to.address)) throw new Undeliverable('the address is none that mail can be sent to')
      const line = toLine(subject)
      const sent = transport.sendMail({
        from: { name: 'Bulkhead', address: from },
        to: { name: toLine(to.name), address: to.address },
        // Whatever becomes of the headers, it goes to this one.
        envelope: { from, to: [to.address] },
        messageId: `<${id}@${domain}>`,
        date: new Date(createdAt),
        headers: { 'Auto-Submitted': 'auto-generated', 'X-Auto-Response-Suppress': 'All' },
        subject: line, text, html: html ?? toHtml(line, text)
      })
      // Its own deadlines are for each step.
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

/** This recipient or this message, not this connection or this login. */
function isRefusedForGood (error: unknown): boolean {
  const { responseCode = 0, code = '' } = error as { responseCode?: number, code?: string }
  return responseCode >= 500 && (code === 'EENVELOPE' || code === 'EMESSAGE')
}
