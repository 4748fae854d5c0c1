// Lets pages of the configured origins, and no others, read answers. When no origin is configured, no answer has CORS
// headers.

import type { Exchange } from '../exchange.ts'

export function allowOrigin ({ req, res }: Exchange, origins: ReadonlySet<string>): void {
  res.setHeader('Vary', 'Origin')
  const { origin } = req.headers
  if (origin === undefined || !origins.has(origin)) return
  res.setHeader('Access-Control-Allow-Origin', origin)
  res.setHeader('Access-Control-Allow-Credentials', 'true')
  res.setHeader('Access-Control-Expose-Headers', 'X-Request-Id, Retry-After')
}

/** Sets the headers that answer a browser's preflight request. */
export function allowMethods ({ req, res }: Exchange, allow: string): void {
  if (!res.hasHeader('Access-Control-Allow-Origin') || req.headers['access-control-request-method'] === undefined) return
  res.setHeader('Access-Control-Allow-Methods', allow)
  res.setHeader('Access-Control-Allow-Headers', 'Authorization, Content-Type, X-Request-Id')
  res.setHeader('Access-Control-Max-Age', '600')
}
