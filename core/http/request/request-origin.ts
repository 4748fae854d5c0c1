// Whether a page of this origin made a request, by what the browser says of the page.

import type { IncomingMessage } from 'node:http'
import { hasSessionCookie } from './credential.ts'
import { hostOf, protocolOf } from './forwarded.ts'

/** `unknown`: nothing is said, as by a client that is no browser. */
export type RequestOrigin = 'own' | 'foreign' | 'unknown'

export interface OriginRules {
  /** Origins whose pages count as own. */
  origins: ReadonlySet<string>
  trustProxyHops: number
  secureCookies: boolean
}

/**
 * A page of a sibling site (`same-site`) is as foreign as any other, and so is `none`, which no page of ours sends. `Origin` and `Sec-Fetch-Site`
 * must agree where both are there; `Origin: null` beside `same-origin` is what a page without a referrer sends.
 */
export function originOf (req: IncomingMessage, rules: OriginRules): RequestOrigin {
  const { origin, 'sec-fetch-site': site } = req.headers
  if (origin !== undefined && rules.origins.has(origin)) return 'own'
  if (site !== undefined && site !== 'same-origin') return 'foreign'
  if (origin === undefined) return site === undefined ? 'unknown' : 'own'
  if (origin === 'null' && site !== undefined) return 'own'
  return origin === ownOriginOf(req, rules) ? 'own' : 'foreign'
}

/** As a browser writes it: without the port of the protocol itself. Undefined when the request names no host. */
export function ownOriginOf (req: IncomingMessage, { trustProxyHops, secureCookies }: OriginRules): string | undefined {
  const protocol = secureCookies ? 'https' : protocolOf(req, trustProxyHops)
  const url = `${protocol}://${hostOf(req, trustProxyHops)}`
  return URL.canParse(url) ? new URL(url).origin : undefined
}

/** A browser sends the cookie by itself, so a request that changes something must also show that a page of ours made it. */
export const isForgeable = (req: IncomingMessage): boolean =>
  req.method !== 'GET' && req.method !== 'HEAD' && req.headers.authorization === undefined && hasSessionCookie(req)
