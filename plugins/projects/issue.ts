// Defines an issue and contains every statement on the table of issues.

import { Conflict, NotFound, singleLine, sql, ValidationFailed, z } from 'bulkhead'
import type { Postgres, Transaction } from 'bulkhead'
import { changedFields, type Asker, type Change, type RecordChange } from './change.ts'
import { Body, Page, Title, type Listed } from './form.ts'
import { Label, Labels, patternOf } from './label.ts'
import { issueMoves, issueStates } from './move.ts'
import { byNumber, containing } from './page.ts'
import { needAuthorOrWrite, type Standing, type Standings } from './standing.ts'
import type { TakeTurn } from './turn.ts'

export const Issue = z.object({
  id: z.uuid(),
  number: z.int(),
  title: z.string(),
  body: z.string(),
  status: z.enum(issueStates),
  labels: z.array(z.string()),
  authorId: z.uuid(),
  assigneeId: z.uuid().nullable(),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime()
})
export type Issue = z.infer<typeof Issue>

const columns = sql.fragment`
  id, number, title, coalesce(body, '') as body, status, labels, author_id as "authorId", assignee_id as "assigneeId",
  created_at as "createdAt", updated_at as "updatedAt"
`

export const NewIssue = z.object({ title: Title, body: Body.default(''), labels: Labels.default([]), assigneeId: z.uuid().nullish() })
export const IssueChange = z.object({ title: Title, body: Body, labels: Labels, assigneeId: z.uuid().nullable() }).partial()
export const IssueFilter = Page.extend({
  status: z.enum(issueStates).optional(),
  authorId: z.uuid().optional(),
  assigneeId: z.uuid().optional(),
  /** A label, compared case-insensitively. */
  label: Label.optional(),
  /** A text that occurs in the title or the body. */
  text: singleLine(200).optional()
})

const Total = z.object({ total: z.int() })

export interface Issues {
  open (by: Asker, standing: Standing, input: z.output<typeof NewIssue>): Promise<Issue>
  /** Lists the issues, newest first. */
  list (projectId: string, filter: z.output<typeof IssueFilter>): Promise<Listed<Issue>>
  find (projectId: string, number: number): Promise<Issue>
  change (by: Asker, standing: Standing, number: number, change: z.output<typeof IssueChange>): Promise<Issue>
  /** Closes or reopens an issue. Rejects with `Conflict` when it is in that state already. */
  move (by: Asker, standing: Standing, number: number, name: keyof typeof issueMoves): Promise<Issue>
}

interface Parts { postgres: Postgres, standings: Standings, record: RecordChange, takeTurn: TakeTurn }

export function createIssues ({ postgres, standings, record, takeTurn }: Parts): Issues {
  const open: Issues['open'] = async (by, { project }, { title, body, labels, assigneeId = null }) => {
    await assertSees(assigneeId, project.id)
    // The number and the issue are written in one transaction. If it fails, the next issue gets the number.
    return takeTurn(`issue ${project.id}`, () => postgres.transaction(async tx => {
      const number = await takeNumber(tx, project.id)
      const issue = await tx.one(sql.type(Issue)`
        insert into issues (project_id, number, author_id, title, body, labels, assignee_id)
        values (${project.id}, ${number}, ${by.user.id}, ${title}, ${body}, ${sql.array(labels, 'text')}, ${assigneeId})
        returning ${columns}
      `)
      await tell(tx, { by, project, issue, action: 'issue.open' })
      return issue
    }))
  }

  const list: Issues['list'] = async (projectId, { limit, cursor, status = null, authorId = null, assigneeId = null, label, text }) => {
    const before = byNumber.read(cursor) ?? null
    const like = containing(text)
    const labelled = label === undefined ? null : patternOf(label)
    const wanted = sql.fragment`
      project_id = ${projectId}
      and (${status}::text is null or status = ${status}::text)
      and (${authorId}::uuid is null or author_id = ${authorId}::uuid)
      and (${assigneeId}::uuid is null or assignee_id = ${assigneeId}::uuid)
      and (${labelled}::text is null or exists (select from unnest(labels) as label where label ~ ${labelled}::text))
      and (${like}::text is null or title ilike ${like}::text or body ilike ${like}::text)
    `
    const [rows, total] = await Promise.all([
      postgres.any(sql.type(Issue)`
        select ${columns} from issues where ${wanted} and (${before}::integer is null or number < ${before}::integer)
        order by number desc limit ${limit + 1}
      `),
      postgres.oneFirst(sql.type(Total)`select count(*) as total from issues where ${wanted}`)
    ])
    return byNumber.page(rows, limit, total, ({ number }) => number)
  }

  const find: Issues['find'] = async (projectId, number) =>
    await postgres.maybeOne(sql.type(Issue)`select ${columns} from issues where project_id = ${projectId} and number = ${number}`) ?? refuseUnknown()

  const change: Issues['change'] = async (by, standing, number, input) => {
    const { project } = standing
    const seen = await find(project.id, number)
    needAuthorOrWrite(standing, by.user, seen.authorId)
    if (input.assigneeId !== seen.assigneeId) await assertSees(input.assigneeId ?? null, project.id)
    return postgres.transaction(async tx => {
      const before = await hold(tx, project.id, number)
      const changes = changedFields(before, input)
      if (changes.length === 0) return before
      const { title, body, labels, assigneeId } = { ...before, ...input }
      const issue = await tx.one(sql.type(Issue)`
        update issues set title = ${title}, body = ${body}, labels = ${sql.array(labels, 'text')}, assignee_id = ${assigneeId}
        where id = ${before.id} returning ${columns}
      `)
      await tell(tx, { by, project, issue, action: 'issue.change', changes })
      return issue
    })
  }

  const move: Issues['move'] = async (by, standing, number, name) => {
    const { project } = standing
    const seen = await find(project.id, number)
    needAuthorOrWrite(standing, by.user, seen.authorId)
    const { from, to } = issueMoves[name]
    return postgres.transaction(async tx => {
      const issue = await tx.maybeOne(sql.type(Issue)`
        update issues set status = ${to} where id = ${seen.id} and status = any(${sql.array(from, 'text')}) returning ${columns}
      `)
      if (issue === null) throw new Conflict(`The issue is ${(await hold(tx, project.id, number)).status} already.`)
      await tell(tx, { by, project, issue, action: `issue.${name}` })
      return issue
    })
  }

  async function assertSees (assigneeId: string | null, projectId: string): Promise<void> {
    if (assigneeId === null || (await standings.find(assigneeId, projectId))?.can('project:read') === true) return
    throw new ValidationFailed([{ path: 'body.assigneeId', message: 'No user of this id may see the project.' }])
  }

  type Told = Pick<Change, 'by' | 'project'> & { issue: Issue, action: 'issue.open' | 'issue.change' | `issue.${keyof typeof issueMoves}`, changes?: string[] }
  const tell = (tx: Transaction, { by, project, issue, action, changes }: Told): Promise<void> => record(tx, {
    by, action, project, id: issue.id, payload: { issue: issueInEvent(issue), ...changes && { changes } },
    detail: { number: issue.number, title: issue.title, ...changes && { changes } }
  })

  return { open, list, find, change, move }
}

/** Selects the fields of an issue that events contain. */
export const issueInEvent = ({ id, number, title, status, authorId, assigneeId, labels }: Issue): object =>
  ({ id, number, title, status, authorId, assigneeId, labels })

/** Takes the next number. Other transactions that take a number wait until this one ends. */
async function takeNumber (tx: Transaction, projectId: string): Promise<number> {
  const number = await tx.maybeOneFirst(sql.type(z.object({ number: z.int() }))`
    update projects set next_issue_number = next_issue_number + 1 where id = ${projectId} and is_active returning next_issue_number as number
  `)
  if (number === null) throw new NotFound('There is no such project.')
  return number
}

/** Locks an issue, so that no other transaction changes it until this one ends. */
const hold = async (tx: Transaction, projectId: string, number: number): Promise<Issue> =>
  await tx.maybeOne(sql.type(Issue)`select ${columns} from issues where project_id = ${projectId} and number = ${number} for update`) ?? refuseUnknown()

const refuseUnknown = (): never => { throw new NotFound('There is no such issue.') }
