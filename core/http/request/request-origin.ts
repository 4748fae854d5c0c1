// Decides whether a page of this origin made a request, from the headers in which the browser names the page.

import type { IncomingMessage } from 'node:http'
import { hasSessionCookie } from './credential.ts'
import { hostOf, protocolOf } from './forwarded.ts'

/** `unknown` means that the request has neither header, as from a client that is not a browser. */
export type RequestOrigin = 'own' | 'foreign' | 'unknown'

export interface OriginRules {
  /** Other origins whose pages count as own. */
  origins: ReadonlySet<string>
  trustProxyHops: number
  secureCookies: boolean
}

/**
 * A page of a sibling site (`same-site`) is foreign like any other. So is `none`, which no page of this host causes.
 * When both `Origin` and `Sec-Fetch-Site` are present, they must agree. `Origin: null` with `same-origin` comes from a
 * page without a referrer, and counts as own.
 */
export function originOf (req: IncomingMessage, rules: OriginRules): RequestOrigin {
  const { origin, 'sec-fetch-site': site } = req.headers
  if (origin !== undefined && rules.origins.has(origin)) return 'own'
  if (site !== undefined && site !== 'same-origin') return 'foreign'
  if (origin === undefined) return site === undefined ? 'unknown' : 'own'
  if (origin === 'null' && site !== undefined) return 'own'
  return origin === ownOriginOf(req, rules) ? 'own' : 'foreign'
}

/**
 * Returns the host's own origin as a browser writes it, without the protocol's default port. Undefined when the request
 * names no valid host.
 */
export function ownOriginOf (req: IncomingMessage, { trustProxyHops, secureCookies }: OriginRules): string | undefined {
  const protocol = secureCookies ? 'https' : protocolOf(req, trustProxyHops)
  const url = `${protocol}://${hostOf(req, trustProxyHops)}`
  return URL.canParse(url) ? new URL(url).origin : undefined
}

/**
 * True when another site could have made the browser send this request. A browser adds the session cookie by itself, so
 * a request that changes something must also prove that a page of this host made it.
 */
export const isForgeable = (req: IncomingMessage): boolean =>
  req.method !== 'GET' && req.method !== 'HEAD' && req.headers.authorization === undefined && hasSessionCookie(req)
