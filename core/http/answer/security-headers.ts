// Creates the security headers of every answer with helmet. They are the same for every request, so they are computed
// once.

import helmet from 'koa-helmet'

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
