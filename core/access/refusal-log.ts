// Refused requests in the audit log, many in one statement, so that a flood of them costs the database little and the request nothing.

import { sql, z } from '../contract/index.ts'
import type { Clock, Log, Postgres, User } from '../contract/index.ts'
import { addressOf, nobodyId } from './audit.ts'
import type { Background } from './background.ts'
import { uuidForm } from './form.ts'

/** What http knows of a request that it refused. */
export interface RefusalFacts {
  readonly method: string
  /** As it was declared: `/api/notes/:id`. */
  readonly route: string
  readonly status: number
  /** Why, in the words of the answer. */
  readonly reason: string
  readonly requestId: string
  readonly address: string | undefined
  readonly projectId?: string | undefined
}

export interface RefusalLog {
  /** `user` is undefined when nobody is behind the request. */
  note (user: Pick<User, 'id' | 'name'> | undefined, facts: RefusalFacts): void
}

interface Noted {
  readonly actor_id: string
  readonly actor_name: string
  readonly project_id: string | null
  readonly ip_addr: string | null
  readonly created_at: string
  readonly detail: Readonly<Record<string, string | number>>
}

const waitingMax = 1_000

interface Parts {
  readonly postgres: Postgres
  readonly log: Log
  readonly clock: Clock
  readonly background: Background
}

export function createRefusalLog ({ postgres, log, clock, background }: Parts): RefusalLog {
  let waiting: Noted[] = []
  let isWriting = false
  let dropped = 0

  async function writeAll (): Promise<void> {
    isWriting = true
    try {
      while (waiting.length > 0) {
        const batch = waiting
        waiting = []
        await write(batch)
      }
    } finally {
      isWriting = false
      if (dropped > 0) log.warn({ dropped }, 'more requests were refused than the audit log takes at once; these are missing in it')
      dropped = 0
    }
  }

  // A project that is not there, as anyone may name one, leaves the column empty.
  const write = (batch: readonly Noted[]): Promise<unknown> => postgres.query(sql.type(z.object({}))`
    insert into public.audit_log (actor_id, actor_name, action, resource, project_id, detail, ip_addr, created_at)
    select n.actor_id, n.actor_name, 'request.refuse', 'route', p.id, n.detail, n.ip_addr, n.created_at
    from jsonb_to_recordset(${sql.jsonb(batch)})
      as n (actor_id uuid, actor_name text, project_id uuid, ip_addr inet, created_at timestamptz, detail jsonb)
    left join public.projects p on p.id = n.project_id
  `)

  return {
    note (user, { method, route, status, reason, requestId, address, projectId }) {
      if (waiting.length >= waitingMax) {
        dropped++
        return
      }
      waiting.push({
        actor_id: user?.id ?? nobodyId,
        actor_name: user?.name ?? 'nobody',
        project_id: projectId !== undefined && uuidForm.test(projectId) ? projectId : null,
        ip_addr: addressOf({ address }),
        created_at: new Date(clock.now()).toISOString(),
        detail: { method, route, status, reason, requestId }
      })
      if (!isWriting) background.run('refused requests could not be written to the audit log', writeAll)
    }
  }
}
