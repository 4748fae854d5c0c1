// Counts refusals by user or network, for those that do not get a row each.
// However many there are, one minute of them becomes a bounded number of rows.

import type { Origin } from '../../contract/index.ts'
import { networkOf } from '../common/network.ts'
import { nobodyId } from './audit-log.ts'

/** A row of the audit log, as `refusal-log.ts` writes many at once. */
export interface RefusalRow {
  readonly actor_id: string
  readonly actor_name: string
  readonly action: 'request.refuse' | 'auth.login_failed'
  readonly resource: 'route' | 'user'
  readonly project_id: string | null
  readonly ip_addr: string | null
  readonly created_at: string
  readonly detail: Readonly<Record<string, unknown>>
}

/**
 * One event that is counted: a refused request of a known user or of an unknown caller,
 * or a failed sign-in with a name that no user has.
 */
export interface Counted extends Pick<RefusalRow, 'action' | 'resource'> {
  readonly actor?: { readonly id: string, readonly name: string } | undefined
  readonly origin: Pick<Origin, 'address'>
  readonly status: number
  readonly route?: string | undefined
  readonly requestId?: string | undefined
}

interface Count extends Pick<Counted, 'action' | 'resource' | 'actor' | 'requestId'> {
  readonly network: string | null
  readonly statuses: Map<number, number>
  readonly routes: Set<string>
  count: number
}

/** Sources with a count of their own, for each action and each kind of actor. All further sources share one count. */
const sourcesMax = 20
const routesMax = 5
const others = 'others'

export class RefusalTally {
  readonly #fromMs: number
  readonly #counts = new Map<string, Count>()
  readonly #sources = new Map<string, number>()

  constructor (fromMs: number) {
    this.#fromMs = fromMs
  }

  add (counted: Counted): void {
    const count = this.#countOf(counted)
    count.count++
    count.statuses.set(counted.status, (count.statuses.get(counted.status) ?? 0) + 1)
    if (counted.route !== undefined && count.routes.size < routesMax) count.routes.add(counted.route)
  }

  #countOf ({ action, resource, actor, origin, requestId }: Counted): Count {
    const kind = `${action} ${actor === undefined ? 'unknown' : 'known'}`
    const network = networkOf(origin)
    const key = `${kind} ${actor?.id ?? network ?? ''}`
    const known = this.#counts.get(key)
    if (known !== undefined) return known
    const sources = this.#sources.get(kind) ?? 0
    const isOther = sources >= sourcesMax
    const shared = isOther ? this.#counts.get(`${kind} ${others}`) : undefined
    if (shared !== undefined) return shared
    const count: Count = {
      action, resource, requestId, count: 0, statuses: new Map(), routes: new Set(),
      actor: isOther ? undefined : actor, network: isOther ? others : network
    }
    if (!isOther) this.#sources.set(kind, sources + 1)
    this.#counts.set(isOther ? `${kind} ${others}` : key, count)
    return count
  }

  rows (toMs: number): RefusalRow[] {
    const [from, to] = [this.#fromMs, toMs].map(ms => new Date(ms).toISOString()) as [string, string]
    return [...this.#counts.values()].map(({ action, resource, actor, network, count, statuses, routes, requestId }) => ({
      actor_id: actor?.id ?? nobodyId,
      actor_name: actor?.name ?? 'nobody',
      action,
      resource,
      project_id: null,
      ip_addr: network === others ? null : network,
      created_at: to,
      detail: { count, network, from, to, statuses: Object.fromEntries(statuses), routes: [...routes], requestId }
    }))
  }
}
