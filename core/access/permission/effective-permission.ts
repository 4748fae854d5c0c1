// Finds what a user may do in a project or outside any, by global roles, roles in the project and delegations.
// Postgres computes it, and Valkey caches it.

import { sql, z } from '../../contract/index.ts'
import type { Clock, Log, Postgres, Valkey } from '../../contract/index.ts'
import type { Background } from '../background-work.ts'
import { PermissionSet } from '../common/permission-set.ts'
import { counts } from './permission-sql.ts'

export interface EffectivePermissions {
  readonly names: ReadonlySet<string>
  /** The time when the first delegation among them ends, in milliseconds; Infinity when none does. */
  readonly untilMs: number
}

export interface EffectivePermissionFinder {
  /** `epoch` was read by a query for this request. A cache entry counts only when it carries the same epoch. */
  find (userId: string, projectId: string | null, epoch: number): Promise<EffectivePermissions>
}

interface EffectivePermissionFinderDeps {
  readonly postgres: Postgres
  readonly valkey: Valkey
  readonly log: Log
  readonly clock: Clock
  readonly background: Background
}

const cachedForMs = 300_000
/**
 * Milliseconds without cache access after a failed read. Otherwise every request would wait for the cache's deadline
 * in a network that drops all packets.
 */
const leftAloneForMs = 5_000

const Computed = z.object({ epoch: z.int(), permissions: z.array(z.string()), until: z.iso.datetime().nullable() })
type Computed = z.output<typeof Computed>
/**
 * The version of the rules by which permissions are computed. A change of the rules raises it: a replica of an earlier version
 * caches under the same keys, and what it computed by other rules is a miss here.
 */
const rules = 2
const Cached = Computed.extend({ rules: z.literal(rules) })

export function createEffectivePermissionFinder (
  { postgres, valkey, log, clock, background }: EffectivePermissionFinderDeps
): EffectivePermissionFinder {
  let cacheAwayUntilMs = 0

  async function find (userId: string, projectId: string | null, epoch: number): Promise<EffectivePermissions> {
    const key = `perms:${userId}:${projectId ?? 'global'}`
    const cached = await readCache(key)
    if (cached?.epoch === epoch && untilMsOf(cached) > clock.now()) return effective(cached)
    const computed = await compute(userId, projectId)
    writeCache(key, computed)
    return effective(computed)
  }

  async function readCache (key: string): Promise<Computed | undefined> {
    if (clock.now() < cacheAwayUntilMs) return undefined
    try {
      return await valkey.get(key, Cached)
    } catch (err) {
      cacheAwayUntilMs = clock.now() + leftAloneForMs
      log.warn({ err }, 'the cache is unavailable; permissions come from Postgres')
      return undefined
    }
  }

  function writeCache (key: string, computed: Computed): void {
    const ttlMs = Math.min(cachedForMs, untilMsOf(computed) - clock.now())
    if (ttlMs < 1 || clock.now() < cacheAwayUntilMs) return
    background.run('permissions could not be cached; they are computed again', () => valkey.set(key, { ...computed, rules }, { ttlMs }))
  }

  // One snapshot gives the epoch and the permissions, so a change that is committed meanwhile has another epoch.
  const compute = (userId: string, projectId: string | null): Promise<Computed> => {
    const now = new Date(clock.now()).toISOString()
    return postgres.one(sql.type(Computed)`
      with held as (
        select rp.permission_id, null::timestamptz as expires_at
        from public.user_roles ur join public.role_permissions rp on rp.role_id = ur.role_id
        where ur.user_id = ${userId} and (ur.project_id is null or ur.project_id = ${projectId}::uuid)
        union all
        select d.permission_id, d.expires_at
        from public.delegations d
        where d.delegate_id = ${userId} and (d.project_id is null or d.project_id = ${projectId}::uuid) and ${counts(now)}
      )
      select
        (select value from bulkhead.access_epoch) as epoch,
        coalesce(array_agg(distinct p.name), '{}') as permissions,
        -- Earlier versions took an end in the year 10000.
        min(case when held.expires_at >= '10000-01-01' then '9999-12-31T23:59:59Z' else held.expires_at end) as until
      from held join public.permissions p on p.id = held.permission_id
      where exists (select from public.users where id = ${userId} and is_active)
    `)
  }

  return { find }
}

const untilMsOf = ({ until }: Computed): number => until === null ? Infinity : Date.parse(until)

const effective = (computed: Computed): EffectivePermissions => ({ names: new PermissionSet(computed.permissions), untilMs: untilMsOf(computed) })
