// Returns the origin of a request for the audit log.

import type { Origin, RequestContext } from 'bulkhead'

/** The host guarantees that `ctx.ip` is the client's address behind the proxies that it trusts. */
export function originOf ({ ip, headers }: Pick<RequestContext, 'ip' | 'headers'>): Origin {
  return { address: ip === '' ? undefined : ip, userAgent: headers['user-agent'] }
}
