// The headers that browsers respect: which pages may read an answer (CORS), and what a page of this host may load and do.
// The security headers are the same for every answer, so they are computed once, with helmet.

import helmet from 'koa-helmet'
import type { Exchange } from '../exchange.ts'

export type SecurityHeaders = ReadonlyMap<string, string>

/**
 * Pages of this host load from this host only, and no page may frame them. A handler that needs more sets its own
 * header, which stays. With `isSecure`, `Strict-Transport-Security` makes browsers use https only.
 */
export function createSecurityHeaders ({ isSecure }: { isSecure: boolean }): SecurityHeaders {
  const middleware = helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        'default-src': ['\'self\''],
        'object-src': ['\'none\''],
        'base-uri': ['\'none\''],
        'form-action': ['\'self\''],
        'frame-ancestors': ['\'none\'']
      }
    },
    xFrameOptions: { action: 'deny' },
    strictTransportSecurity: isSecure ? { maxAge: 365 * 86_400, includeSubDomains: false } : false,
    // These headers are for Flash, for Internet Explorer, for a filter that browsers have removed, and for features
    // that no page of this host uses. Each would cost bytes in every answer.
    xPermittedCrossDomainPolicies: false,
    xDownloadOptions: false,
    xXssProtection: false,
    xDnsPrefetchControl: false,
    originAgentCluster: false
  })
  const headers = new Map<string, string>()
  const res = { setHeader: (name: string, value: string) => headers.set(name, value), removeHeader: () => undefined }
  // The middleware sets the headers before it returns, so its promise needs no wait.
  void middleware({ req: {}, res } as unknown as Parameters<typeof middleware>[0], async () => undefined)
  if (!headers.has('Content-Security-Policy')) throw new Error('helmet set no headers; look at what its new version does')
  return headers
}

/** Lets pages of the configured origins, and no others, read the answer. When no origin is configured, no answer has CORS headers. */
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
