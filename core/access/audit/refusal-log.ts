// Writes refused requests to the audit log. Refusals of known users get a row each, many in one statement.
// Refusals of unknown callers are counted by network and minute, so that no caller can fill the log.

import { pause } from '../../concurrency/loop.ts'
import { sql, z } from '../../contract/index.ts'
import type { Clock, Log, Origin, Postgres, User } from '../../contract/index.ts'
import type { Background } from '../background-work.ts'
import { uuidForm } from '../common/identifier.ts'
import { addressOf } from '../common/network.ts'
import { maskTokens } from '../credential/token.ts'
import { readableName } from './audit-log.ts'
import { RefusalTally, type RefusalRow } from './refusal-tally.ts'

/** The facts about a refused request, as core/http passes them. */
export interface RefusalFacts {
  /** The id of the plugin that owns the route. */
  readonly plugin: string
  readonly method: string
  /** The path as it was declared, for example `/api/notes/:id`. */
  readonly route: string
  readonly status: number
  /** The reason, in the words of the answer. */
  readonly reason: string
  readonly requestId: string
  readonly address: string | undefined
  readonly projectId?: string | undefined
}

export interface RefusalLog {
  /** Records a refused request. `user` is undefined for an unknown caller, whose refusals are counted by network. */
  note (user: Pick<User, 'id' | 'name'> | undefined, facts: RefusalFacts): void
  /**
   * Takes a failed sign-in with a name that no user has. Returns false for the first ones of a minute: the caller writes a row for each.
   * The others are counted by network, and the result is true.
   */
  countFailedLogin (origin: Pick<Origin, 'address'>): boolean
  /** Writes the counts so far. Counts after this call are written at once. */
  close (): void
}

const waitingMax = 1_000
/** Milliseconds after which the counts of a window are written. */
const windowMs = 60_000
/** Refusals of one user that get a row each, in one window; further ones are counted. */
const userRowsMax = 60
/** Failed sign-ins with unknown names that get a row each, in one window. */
const loginRowsMax = 20

/** The counts of one window, which begins with the first refusal after the previous window has ended. */
interface Window {
  readonly tally: RefusalTally
  readonly rowsOf: Map<string, number>
  loginRows: number
}

interface RefusalLogDeps {
  readonly postgres: Postgres
  readonly log: Log
  readonly clock: Clock
  readonly background: Background
}

export function createRefusalLog ({ postgres, log, clock, background }: RefusalLogDeps): RefusalLog {
  const closing = new AbortController()
  let waiting: RefusalRow[] = []
  let isWriting = false
  let current: Window | undefined

  const currentWindow = (): Window => {
    if (current !== undefined) return current
    const opened: Window = { tally: new RefusalTally(clock.now()), rowsOf: new Map(), loginRows: 0 }
    current = opened
    background.run('refusals that were counted could not be written to the audit log', async () => {
      // A host that stops ends the pause, and what is counted is written at once.
      await pause(clock, windowMs, closing.signal)
      current = undefined
      await writeCounted(opened.tally.rows(clock.now()))
    })
    return opened
  }

  const writeCounted = async (rows: readonly RefusalRow[]): Promise<void> => {
    if (rows.length === 0) return
    try {
      await write(rows)
    } catch (err) {
      log.warn({ err, counted: rows.map(({ action, detail: { network, count } }) => ({ action, network, count })) },
        'counts of refusals could not be written to the audit log and are missing there; this line holds them')
    }
  }

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
    }
  }

  // Any caller may name a project that does not exist. The column then stays empty.
  const write = (batch: readonly RefusalRow[]): Promise<unknown> => postgres.query(sql.type(z.object({}))`
    insert into public.audit_log (actor_id, actor_name, action, resource, resource_id, project_id, detail, ip_addr, created_at)
    select n.actor_id, n.actor_name, n.action, n.resource, null, p.id, n.detail, n.ip_addr, n.created_at
    from jsonb_to_recordset(${sql.jsonb(batch)}) as n (
      actor_id uuid, actor_name text, action text, resource text, project_id uuid, ip_addr inet, created_at timestamptz, detail jsonb
    )
    left join public.projects p on p.id = n.project_id
  `)

  /** Returns whether the refusal gets a row of its own. */
  const takeRow = ({ rowsOf }: Window, userId: string): boolean => {
    const taken = rowsOf.get(userId) ?? 0
    if (taken >= userRowsMax || waiting.length >= waitingMax) return false
    rowsOf.set(userId, taken + 1)
    return true
  }

  return {
    note (user, { plugin, method, route, status, reason, requestId, address, projectId }) {
      const window = currentWindow()
      if (user === undefined || !takeRow(window, user.id)) {
        window.tally.add({ actor: user, action: 'request.refuse', resource: 'route', origin: { address }, status, route: `${method} ${route}`, requestId })
        return
      }
      waiting.push({
        actor_id: user.id,
        actor_name: readableName(user.name),
        action: 'request.refuse',
        resource: 'route',
        project_id: projectId !== undefined && uuidForm.test(projectId) ? projectId : null,
        ip_addr: addressOf({ address }),
        created_at: new Date(clock.now()).toISOString(),
        detail: { plugin, method, route, status, reason: maskTokens(reason), requestId: maskTokens(requestId) }
      })
      if (!isWriting) background.run('refused requests could not be written to the audit log', writeAll)
    },
    countFailedLogin (origin) {
      const window = currentWindow()
      if (window.loginRows < loginRowsMax) {
        window.loginRows++
        return false
      }
      window.tally.add({ action: 'auth.login_failed', resource: 'user', origin, status: 401 })
      return true
    },
    close: () => closing.abort()
  }
}
