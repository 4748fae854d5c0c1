// Finds the token a request carries, and says whether a request carrying a cookie was made by a page of this site.

import type { IncomingMessage } from 'node:http'
import { Unauthorized } from '../contract/index.ts'
import { hostOf } from './forwarded.ts'

const bearer = /^Bearer +([\w.~+/-]+=*)$/i
const sessionCookie = /(?:^|;) *session=([^;]*)/

/** `Authorization` wins over the cookie; one that is not `Bearer <token>` is refused, even beside a good cookie. */
export function findToken ({ headers }: IncomingMessage): string | undefined {
  if (headers.authorization !== undefined) {
    const token = bearer.exec(headers.authorization)?.[1]
    if (token === undefined) throw new Unauthorized('The Authorization header is not of the form "Bearer <token>".')
    return token
  }
  return headers.cookie === undefined ? undefined : sessionCookie.exec(headers.cookie)?.[1]
}

export const hasCredential = ({ headers }: IncomingMessage): boolean =>
  headers.authorization !== undefined || (headers.cookie !== undefined && sessionCookie.test(headers.cookie))

/** A browser sends the cookie by itself, so a request that changes something must also show that a page of ours made it. */
export function isForgeable (req: IncomingMessage): boolean {
  return req.headers.authorization === undefined && req.method !== 'GET' && req.method !== 'HEAD'
}

export function isFromThisSite (req: IncomingMessage, allowedOrigins: ReadonlySet<string>, trustProxyHops: number): boolean {
  const { headers } = req
  const { origin } = headers
  if (origin !== undefined && allowedOrigins.has(origin)) return true
  const site = headers['sec-fetch-site']
  if (site !== undefined) return site === 'same-origin' || site === 'same-site' || site === 'none'
  if (origin === undefined || !URL.canParse(origin)) return false
  return new URL(origin).host === hostOf(req, trustProxyHops)
}
