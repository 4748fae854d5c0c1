// Lists and ends a user's own sessions, which show where the user is signed in.

import { Forbidden, NotFound, SessionRecord, sql, z } from '../../contract/index.ts'
import type { Clock, Origin, Postgres, Sessions, User } from '../../contract/index.ts'
import { recordAudit } from '../audit/audit-log.ts'
import { isNarrowed } from '../permission/authority.ts'

interface OwnSessionsDeps {
  readonly postgres: Postgres
  readonly clock: Clock
  readonly forget: (tokenHash: string) => void
}

export function createOwnSessions ({ postgres, clock, forget }: OwnSessionsDeps): Sessions {
  const now = (): string => new Date(clock.now()).toISOString()
  const currentOf = ({ signedInBy }: User): string | null => signedInBy.kind === 'session' ? signedInBy.id : null

  const list: Sessions['list'] = async (user, { limit, offset }) => {
    assertNotNarrow(user)
    const [items, total] = await Promise.all([
      postgres.any(sql.type(SessionRecord)`
        select
          id, host(ip_addr) as address, user_agent as "userAgent", created_at as "createdAt", expires_at as "expiresAt",
          id is not distinct from ${currentOf(user)}::uuid as "isCurrent"
        from public.auth_sessions where user_id = ${user.id} and expires_at > ${now()}
        order by created_at desc, id limit ${limit} offset ${offset}
      `),
      postgres.oneFirst(sql.type(z.object({ total: z.int() }))`
        select count(*) as total from public.auth_sessions where user_id = ${user.id} and expires_at > ${now()}
      `)
    ])
    return { items: [...items], total }
  }

  const find: Sessions['find'] = async (user, id) => {
    assertNotNarrow(user)
    const session = await postgres.maybeOne(sql.type(SessionRecord)`
      select
        id, host(ip_addr) as address, user_agent as "userAgent", created_at as "createdAt", expires_at as "expiresAt",
        id is not distinct from ${currentOf(user)}::uuid as "isCurrent"
      from public.auth_sessions where id = ${id} and user_id = ${user.id} and expires_at > ${now()}
    `)
    if (session === null) throw new NotFound(noSession)
    return session
  }

  /** Ends one session of the user, or all when `id` is null. Returns how many it ended. */
  async function endSome (user: User, id: string | null, origin: Origin): Promise<number> {
    assertNotNarrow(user)
    const hashes = await postgres.transaction(async tx => {
      const ended = await tx.any(sql.type(z.object({ id: z.uuid(), tokenHash: z.string() }))`
        delete from public.auth_sessions where user_id = ${user.id} and (${id}::uuid is null or id = ${id}::uuid) returning id, token_hash as "tokenHash"
      `)
      for (const { id: resourceId } of ended) await recordAudit(tx, { actor: user, action: 'session.end', resource: 'session', resourceId, origin })
      return ended.map(({ tokenHash }) => tokenHash)
    })
    hashes.forEach(forget)
    return hashes.length
  }

  return {
    list,
    find,
    async end (user, id, origin) {
      if (await endSome(user, id, origin) === 0) throw new NotFound(noSession)
    },
    async endAll (user, origin) {
      await endSome(user, null, origin)
    }
  }
}

const noSession = 'You have no such session.'

function assertNotNarrow (user: User): void {
  if (isNarrowed(user)) throw new Forbidden('A token with scopes or a project cannot list or end sessions. Sign in, or use a token without them.')
}
