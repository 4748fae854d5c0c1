// Reads the client's address, host and protocol from the headers of the trusted proxies in front. Values are counted
// from the right, because a client may write the left ones.

import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'

/** Returns the client's IP address, empty when it is unknown. */
export function addressOf (req: IncomingMessage, trustProxyHops: number): string {
  const forwarded = forwardedOf(req, 'x-forwarded-for', trustProxyHops)
  const address = isIP(forwarded) === 0 ? req.socket.remoteAddress ?? '' : forwarded
  return address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address
}

/**
 * Returns the host in lower case, with a port when the client sent one. Browsers leave out the protocol's default port.
 */
export function hostOf (req: IncomingMessage, trustProxyHops: number): string {
  const forwarded = forwardedOf(req, 'x-forwarded-host', trustProxyHops)
  const host = forwarded === '' ? req.headers.host ?? '' : forwarded
  // `user@host` is not a host, and two parsers may disagree on which part is the host.
  return host.includes('@') ? '' : host.toLowerCase()
}

export const protocolOf = (req: IncomingMessage, trustProxyHops: number): 'http' | 'https' =>
  forwardedOf(req, 'x-forwarded-proto', trustProxyHops).toLowerCase() === 'https' ? 'https' : 'http'

/**
 * Returns the value that the outermost trusted proxy wrote. A proxy that passes on a single value unchanged counts as
 * its author.
 */
function forwardedOf ({ headers }: IncomingMessage, name: string, trustProxyHops: number): string {
  const text = trustProxyHops > 0 ? headers[name] : undefined
  if (typeof text !== 'string') return ''
  const values = text.split(',')
  return values[Math.max(0, values.length - trustProxyHops)]?.trim() ?? ''
}
