// A real mail server, in the test's own process, that takes mail or refuses it as the test says.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { SMTPServer, type SMTPServerOptions } from 'smtp-server'
import { undo } from './undo.ts'

export interface ReceivedMail {
  readonly to: readonly string[]
  /** As it came: headers, an empty line, the body. */
  readonly raw: string
  /** Unfolded; of several of one name, all of them. */
  header (name: string): readonly string[]
  /** Of the part of this type, decoded. */
  part (type: 'text/plain' | 'text/html'): string
}

export interface MailServer {
  readonly port: number
  /** Accepted, in the order they came. */
  readonly mails: readonly ReceivedMail[]
  /** Refused after their last line. */
  readonly refused: readonly ReceivedMail[]
  /** The next `times` mails to this address are refused with this answer. */
  refuse (address: string, times: number, status?: number): void
  /** The next mail to this address is taken in and not answered. */
  hold (address: string): void
  readonly held: readonly ReceivedMail[]
  to (address: string): readonly ReceivedMail[]
}

export async function startMailServer (t: TestContext, options: SMTPServerOptions = {}): Promise<MailServer> {
  const mails: ReceivedMail[] = []
  const refused: ReceivedMail[] = []
  const held: ReceivedMail[] = []
  const holds = new Set<string>()
  const refusals = new Map<string, { times: number, status: number }>()
  const server = new SMTPServer({
    authOptional: true, disabledCommands: ['STARTTLS'], logger: false, disableReverseLookup: true, closeTimeout: 100,
    onData: (stream, session, callback) => {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => { chunks.push(chunk) }).on('end', () => {
        const to = session.envelope.rcptTo.map(({ address }) => address)
        const mail = readMail(to, Buffer.concat(chunks).toString('utf8'))
        if (holds.delete(to[0] ?? '')) {
          held.push(mail)
          return
        }
        const refusal = refusals.get(to[0] ?? '')
        if (refusal === undefined || refusal.times === 0) {
          mails.push(mail)
          callback(null, 'taken')
        } else {
          refusal.times -= 1
          refused.push(mail)
          callback(Object.assign(new Error('not now'), { responseCode: refusal.status }))
        }
      })
    },
    ...options
  })
  server.on('error', () => { /* A client that breaks off is told to the client. */ })
  server.listen(0, '127.0.0.1')
  await once(server.server, 'listening')
  undo(t, () => new Promise<void>(resolve => { server.close(() => resolve()) }))
  return {
    port: (server.server.address() as AddressInfo).port,
    mails,
    refused,
    held,
    hold: address => { holds.add(address) },
    refuse: (address, times, status = 451) => { refusals.set(address, { times, status }) },
    to: address => mails.filter(mail => mail.to.includes(address))
  }
}

function readMail (to: readonly string[], raw: string): ReceivedMail {
  const [head = ''] = raw.split('\r\n\r\n')
  const lines = unfold(head)
  const header = (name: string): string[] =>
    lines.filter(line => line.toLowerCase().startsWith(`${name.toLowerCase()}:`)).map(line => decodeWords(line.slice(name.length + 1).trim()))
  const part: ReceivedMail['part'] = type => {
    const boundary = /boundary="([^"]+)"/.exec(head)?.[1] ?? ''
    const found = raw.split(`--${boundary}`).find(piece => piece.trimStart().toLowerCase().startsWith(`content-type: ${type}`)) ?? ''
    const [partHead = '', ...body] = found.trimStart().split('\r\n\r\n')
    return decodeBody(/content-transfer-encoding: (\S+)/i.exec(partHead)?.[1] ?? '', body.join('\r\n\r\n')).trim()
  }
  return { to, raw, header, part }
}

const unfold = (head: string): string[] => head.replaceAll(/\r\n[ \t]+/g, ' ').split('\r\n')

function decodeBody (encoding: string, body: string): string {
  if (encoding === 'base64') return Buffer.from(body, 'base64').toString('utf8')
  return encoding === 'quoted-printable' ? decodeQuoted(body.replaceAll('=\r\n', '')) : body
}

const decodeQuoted = (text: string): string => Buffer.from(text.replaceAll(/=([0-9A-F]{2})/g, (_, code: string) => String.fromCharCode(parseInt(code, 16))), 'latin1').toString('utf8')

/** RFC 2047. */
const decodeWords = (text: string): string => text.replaceAll(/\?=\s+=\?/g, '?==?').replaceAll(/=\?utf-8\?([BQ])\?([^?]*)\?=/gi, (_, encoding: string, word: string) =>
  encoding.toUpperCase() === 'B' ? Buffer.from(word, 'base64').toString('utf8') : decodeQuoted(word.replaceAll('_', ' ')))
