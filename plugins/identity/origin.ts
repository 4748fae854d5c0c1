// Where a request came from, as the audit log keeps it.

import type { Origin, RequestContext } from 'bulkhead'

/** The host has seen to it that `ctx.ip` is the client's address behind the proxies it trusts. */
export function originOf ({ ip, headers }: Pick<RequestContext, 'ip' | 'headers'>): Origin {
  return { address: ip === '' ? undefined : ip, userAgent: headers['user-agent'] }
}
