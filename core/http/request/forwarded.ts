// What the client asked for and from where, as the trusted proxies in front tell it: counted from the right, because a client may write the left.

import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'

/** Empty when it is not known. */
export function addressOf (req: IncomingMessage, trustProxyHops: number): string {
  const forwarded = forwardedOf(req, 'x-forwarded-for', trustProxyHops)
  const address = isIP(forwarded) === 0 ? req.socket.remoteAddress ?? '' : forwarded
  return address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address
}

/** With its port, unless that is the protocol's own. */
export function hostOf (req: IncomingMessage, trustProxyHops: number): string {
  const forwarded = forwardedOf(req, 'x-forwarded-host', trustProxyHops)
  const host = forwarded === '' ? req.headers.host ?? '' : forwarded
  // `user@host` is no host, and two readers of it may not agree which.
  return host.includes('@') ? '' : host.toLowerCase()
}

export const protocolOf = (req: IncomingMessage, trustProxyHops: number): 'http' | 'https' =>
  forwardedOf(req, 'x-forwarded-proto', trustProxyHops).toLowerCase() === 'https' ? 'https' : 'http'

/** What the outermost trusted proxy wrote; one that passes a single value on unchanged counts as having written it. */
function forwardedOf ({ headers }: IncomingMessage, name: string, trustProxyHops: number): string {
  const text = trustProxyHops > 0 ? headers[name] : undefined
  if (typeof text !== 'string') return ''
  const values = text.split(',')
  return values[Math.max(0, values.length - trustProxyHops)]?.trim() ?? ''
}
