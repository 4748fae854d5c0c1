// Tells whether the user of a long-running request is still signed in. It is asked from time to time,
// and asking does not count as use of the session.

import { sql, z } from '../../contract/index.ts'
import type { Access, Clock, Postgres } from '../../contract/index.ts'

const Row = z.object({ is: z.boolean() })

export function createIsSignedIn ({ postgres, clock }: { postgres: Postgres, clock: Clock }): Access['isSignedIn'] {
  return ({ id: userId, signedInBy: { kind, id } }) => {
    const now = new Date(clock.now()).toISOString()
    return postgres.oneFirst(kind === 'session'
      ? sql.type(Row)`
        select exists (
          select from public.auth_sessions s join public.users u on u.id = s.user_id
          where s.id = ${id} and u.id = ${userId} and u.is_active and s.expires_at > ${now}
        ) as is
      `
      : sql.type(Row)`
        select exists (
          select from public.api_tokens t join public.users u on u.id = t.user_id
          where t.id = ${id} and u.id = ${userId} and u.is_active and (t.expires_at is null or t.expires_at > ${now})
        ) as is
      `)
  }
}
