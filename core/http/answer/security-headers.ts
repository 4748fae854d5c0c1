// What every answer tells a browser about how to treat it: helmet's headers, worked out once, because they are the same for every request.

import helmet from 'koa-helmet'

export type SecurityHeaders = ReadonlyMap<string, string>

/**
 * Pages of this host load from this host alone and are framed by nobody; whoever needs more sets a header of its own, which stays.
 * `isSecure`: browsers are told to come back over https only.
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
    // For Flash, for Internet Explorer, for a filter that browsers have taken out, and for what no page of ours does: each costs every answer.
    xPermittedCrossDomainPolicies: false,
    xDownloadOptions: false,
    xXssProtection: false,
    xDnsPrefetchControl: false,
    originAgentCluster: false
  })
  const headers = new Map<string, string>()
  const res = { setHeader: (name: string, value: string) => headers.set(name, value), removeHeader: () => undefined }
  // It sets them before it returns, and has nothing more to do.
  void middleware({ req: {}, res } as unknown as Parameters<typeof middleware>[0], async () => undefined)
  if (!headers.has('Content-Security-Policy')) throw new Error('helmet set no headers; look at what its new version does')
  return headers
}
