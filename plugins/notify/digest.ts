// Combines postponed notifications into one notification and one mail for each person.

import { sql, z, type Access, type Log, type Postgres, type Tasks } from 'bulkhead'
import type { Notice } from './form.ts'
import { addEntry } from './inbox.ts'
import { hand, holdInbox, idOf } from './tell.ts'
import type { MaySee } from './visibility.ts'

interface DigestParts {
  readonly postgres: Postgres
  readonly access: Access
  readonly tasks: Tasks
  readonly maySee: MaySee
  readonly hasMail: boolean
  wake (userId: string): Promise<void>
}

const Gathered = z.object({
  id: z.uuid(), subject: z.string(), projectId: z.uuid().nullable(), inApp: z.boolean(), email: z.boolean()
})
type Gathered = z.output<typeof Gathered>

/** Limits of one tick: people, and notifications in one digest. The rest follows with the next tick. */
const peopleMax = 500
const gatheredMax = 1_000
const shownMax = 50

/**
 * Creates the function that sends the digests of all people whose digest is due. A failure for one person does not
 * affect the others and is retried at the next tick.
 */
export function createDigest ({ postgres, access, tasks, maySee, hasMail, wake }: DigestParts): (log: Log, signal: AbortSignal) => Promise<void> {
  const digestFor = async (userId: string): Promise<void> => {
    const gathered = await postgres.any(sql.type(Gathered)`
      select id, subject, project_id as "projectId", in_app as "inApp", email
      from notify.gathered where user_id = ${userId} and due_at <= now() order by created_at, id limit ${gatheredMax}
    `)
    const isActive = await access.contact(userId) !== undefined
    const projectIds = new Set(gathered.flatMap(({ projectId }) => projectId ?? []))
    const seen = new Map(await Promise.all([...projectIds].map(async id => [id, isActive && await maySee(userId, id)] as const)))

    await postgres.transaction(async tx => {
      await holdInbox(tx, userId)
      const taken = new Set(await tx.anyFirst(sql.type(z.object({ id: z.uuid() }))`
        delete from notify.gathered where id = any(${sql.array(gathered.map(({ id }) => id), 'uuid')}) returning id
      `))
      const left = gathered.filter(({ id, projectId }) => taken.has(id) && isActive && (projectId === null || seen.get(projectId) === true))
      const [first] = left
      if (first === undefined) return
      const inApp = left.filter(item => item.inApp)
      const mailed = hasMail ? left.filter(item => item.email) : []
      if (inApp.length > 0) await addEntry(tx, userId, idOf('digest', first.id, 'in_app'), compose(inApp))
      if (mailed.length > 0) await hand(tx, tasks, 'email', idOf('digest', first.id, 'email'), userId, compose(mailed))
    })
    await wake(userId)
  }

  return async (log, signal) => {
    const people = await postgres.anyFirst(sql.type(z.object({ userId: z.uuid() }))`
      select distinct user_id as "userId" from notify.gathered where due_at <= now() limit ${peopleMax}
    `)
    for (const userId of people) {
      signal.throwIfAborted()
      await digestFor(userId).catch((err: unknown) => log.error({ err, userId }, 'a digest could not be made; the host retries with the next tick'))
    }
  }
}

function compose (items: readonly Gathered[]): Notice {
  const lines = items.slice(0, shownMax).map(({ subject }) => `- ${subject}`)
  const more = items.length - lines.length
  return {
    kind: 'digest',
    subject: items.length === 1 ? items[0]?.subject ?? '' : `${items.length} notifications`,
    text: [...lines, ...more > 0 ? [`and ${more} more`] : []].join('\n')
  }
}
