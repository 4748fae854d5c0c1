// Defines a merge request and contains every statement on the table of merge requests. Merging only changes the state
// here and does not touch the git branches.

import { Conflict, NotFound, singleLine, sql, ValidationFailed, z } from 'bulkhead'
import type { Postgres, Transaction } from 'bulkhead'
import { changedFields, type Asker, type Change, type RecordChange } from './change.ts'
import { Body, Branch, Page, Title, type Listed } from './form.ts'
import { mergeRequestMoves, mergeRequestStates } from './move.ts'
import { byNumber, containing } from './page.ts'
import { needAuthorOrWrite, type Standing } from './standing.ts'
import type { TakeTurn } from './turn.ts'

export const MergeRequest = z.object({
  id: z.uuid(),
  number: z.int(),
  title: z.string(),
  body: z.string(),
  status: z.enum(mergeRequestStates),
  sourceBranch: z.string(),
  targetBranch: z.string(),
  authorId: z.uuid(),
  mergedBy: z.uuid().nullable(),
  mergedAt: z.iso.datetime().nullable(),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime()
})
export type MergeRequest = z.infer<typeof MergeRequest>

const columns = sql.fragment`
  id, number, title, coalesce(body, '') as body, status, source_branch as "sourceBranch", target_branch as "targetBranch", author_id as "authorId",
  merged_by as "mergedBy", merged_at as "mergedAt", created_at as "createdAt", updated_at as "updatedAt"
`

export const NewMergeRequest = z.object({ title: Title, body: Body.default(''), sourceBranch: Branch, targetBranch: Branch.optional() })
export const MergeRequestChange = z.object({ title: Title, body: Body, targetBranch: Branch }).partial()
export const MergeRequestFilter = Page.extend({
  status: z.enum(mergeRequestStates).optional(),
  authorId: z.uuid().optional(),
  sourceBranch: Branch.optional(),
  targetBranch: Branch.optional(),
  /** A text that occurs in the title or the body. */
  text: singleLine(200).optional()
})

const Total = z.object({ total: z.int() })

export interface MergeRequests {
  /**
   * Opens a merge request. The target is the project's default branch by default. Rejects with `Conflict` while another
   * merge request with the same source and target is open.
   */
  open (by: Asker, standing: Standing, input: z.output<typeof NewMergeRequest>): Promise<MergeRequest>
  /** Lists the merge requests, newest first. */
  list (projectId: string, filter: z.output<typeof MergeRequestFilter>): Promise<Listed<MergeRequest>>
  find (projectId: string, number: number): Promise<MergeRequest>
  /**
   * Changes a merge request. Rejects with `Conflict` for a new target branch when it is not open, or when another merge
   * request with the same branches is open.
   */
  change (by: Asker, standing: Standing, number: number, change: z.output<typeof MergeRequestChange>): Promise<MergeRequest>
  /**
   * Changes the state. Rejects with `Conflict` when the current state does not allow it, and for a merge while a
   * reviewer requests changes.
   */
  move (by: Asker, standing: Standing, number: number, name: keyof typeof mergeRequestMoves): Promise<MergeRequest>
}

interface Parts { postgres: Postgres, record: RecordChange, takeTurn: TakeTurn }

export function createMergeRequests ({ postgres, record, takeTurn }: Parts): MergeRequests {
  const open: MergeRequests['open'] = (by, { project }, { title, body, sourceBranch, targetBranch = project.defaultBranch }) => {
    assertDiffer(sourceBranch, targetBranch)
    return takeTurn(`merge-request ${project.id}`, () => postgres.transaction(async tx => {
      const number = await takeNumber(tx, project.id)
      await assertOnlyOne(tx, project.id, { sourceBranch, targetBranch })
      const mergeRequest = await tx.one(sql.type(MergeRequest)`
        insert into merge_requests (project_id, number, author_id, title, body, source_branch, target_branch, merged_by, merged_at)
        values (${project.id}, ${number}, ${by.user.id}, ${title}, ${body}, ${sourceBranch}, ${targetBranch}, null, null)
        returning ${columns}
      `)
      await tell(tx, { by, project, mergeRequest, action: 'merge-request.open' })
      return mergeRequest
    }))
  }

  const list: MergeRequests['list'] = async (projectId, filter) => {
    const { limit, cursor, status = null, authorId = null, sourceBranch = null, targetBranch = null, text } = filter
    const before = byNumber.read(cursor) ?? null
    const like = containing(text)
    const wanted = sql.fragment`
      project_id = ${projectId}
      and (${status}::text is null or status = ${status}::text)
      and (${authorId}::uuid is null or author_id = ${authorId}::uuid)
      and (${sourceBranch}::text is null or source_branch = ${sourceBranch}::text)
      and (${targetBranch}::text is null or target_branch = ${targetBranch}::text)
      and (${like}::text is null or title ilike ${like}::text or body ilike ${like}::text)
    `
    const [rows, total] = await Promise.all([
      postgres.any(sql.type(MergeRequest)`
        select ${columns} from merge_requests where ${wanted} and (${before}::integer is null or number < ${before}::integer)
        order by number desc limit ${limit + 1}
      `),
      postgres.oneFirst(sql.type(Total)`select count(*) as total from merge_requests where ${wanted}`)
    ])
    return byNumber.page(rows, limit, total, ({ number }) => number)
  }

  const find: MergeRequests['find'] = async (projectId, number) => await postgres.maybeOne(sql.type(MergeRequest)`
    select ${columns} from merge_requests where project_id = ${projectId} and number = ${number}
  `) ?? refuseUnknown()

  const change: MergeRequests['change'] = async (by, standing, number, input) => {
    const { project } = standing
    needAuthorOrWrite(standing, by.user, (await find(project.id, number)).authorId)
    return postgres.transaction(async tx => {
      if (input.targetBranch !== undefined) await holdProject(tx, project.id)
      const before = await holdMergeRequest(tx, project.id, number)
      const changes = changedFields(before, input)
      if (changes.length === 0) return before
      if (changes.includes('targetBranch') && before.status !== 'open') throw new Conflict(`The merge request is ${before.status}: its branches stay as they are.`)
      const { title, body, sourceBranch, targetBranch } = { ...before, ...input }
      assertDiffer(sourceBranch, targetBranch)
      if (changes.includes('targetBranch')) await assertOnlyOne(tx, project.id, { sourceBranch, targetBranch })
      const mergeRequest = await tx.one(sql.type(MergeRequest)`
        update merge_requests set title = ${title}, body = ${body}, target_branch = ${targetBranch} where id = ${before.id} returning ${columns}
      `)
      await tell(tx, { by, project, mergeRequest, action: 'merge-request.change', changes })
      return mergeRequest
    })
  }

  const move: MergeRequests['move'] = async (by, standing, number, name) => {
    const { project } = standing
    const seen = await find(project.id, number)
    if (name === 'merge') standing.need('project:write')
    else needAuthorOrWrite(standing, by.user, seen.authorId)
    const { from, to } = mergeRequestMoves[name]
    const merger = name === 'merge' ? by.user.id : null
    return postgres.transaction(async tx => {
      if (name === 'reopen') await holdProject(tx, project.id)
      // The merge request is locked first. A concurrent review is then either visible to the next statement, or it
      // finds a merge request that is not open.
      const { id, status, sourceBranch, targetBranch } = await holdMergeRequest(tx, project.id, number)
      if (name === 'reopen' && status === 'closed') await assertOnlyOne(tx, project.id, { sourceBranch, targetBranch })
      const mergeRequest = await tx.maybeOne(sql.type(MergeRequest)`
        update merge_requests
        set status = ${to}, merged_by = ${merger}::uuid, merged_at = case when ${merger}::uuid is not null then now() end
        where id = ${id} and status = any(${sql.array(from, 'text')})
          and (${merger}::uuid is null or not exists (select from mr_reviews where mr_id = ${id} and verdict = 'request_changes'))
        returning ${columns}
      `)
      if (mergeRequest === null) throw (from as readonly string[]).includes(status) ? blocked() : new Conflict(`The merge request is ${status}${status === to ? ' already' : ''}.`)
      await tell(tx, { by, project, mergeRequest, action: `merge-request.${name}` })
      return mergeRequest
    })
  }

  type Told = Pick<Change, 'by' | 'project'> & {
    mergeRequest: MergeRequest
    action: 'merge-request.open' | 'merge-request.change' | `merge-request.${keyof typeof mergeRequestMoves}`
    changes?: string[]
  }
  const tell = (tx: Transaction, { by, project, mergeRequest, action, changes }: Told): Promise<void> => record(tx, {
    by, action, project, id: mergeRequest.id, payload: { mergeRequest: mergeRequestInEvent(mergeRequest), ...changes && { changes } },
    detail: { number: mergeRequest.number, title: mergeRequest.title, ...changes && { changes } }
  })

  return { open, list, find, change, move }
}

/** Selects the fields of a merge request that events contain. */
export const mergeRequestInEvent = ({ id, number, title, status, authorId, sourceBranch, targetBranch }: MergeRequest): object =>
  ({ id, number, title, status, authorId, sourceBranch, targetBranch })

/** Locks a merge request until the transaction ends, so that no other transaction changes or reviews it. */
export const holdMergeRequest = async (tx: Transaction, projectId: string, number: number): Promise<MergeRequest> =>
  await tx.maybeOne(sql.type(MergeRequest)`
    select ${columns} from merge_requests where project_id = ${projectId} and number = ${number} for update
  `) ?? refuseUnknown()

/** Takes the next number. Other transactions that take a number wait until this one ends. */
async function takeNumber (tx: Transaction, projectId: string): Promise<number> {
  const number = await tx.maybeOneFirst(sql.type(z.object({ number: z.int() }))`
    update projects set next_mr_number = next_mr_number + 1 where id = ${projectId} and is_active returning next_mr_number as number
  `)
  if (number === null) throw new NotFound('There is no such project.')
  return number
}

/**
 * Locks the project, so that other transactions that open, reopen or retarget one of its merge requests wait until this
 * one ends. Take this lock before the lock of a merge request.
 */
async function holdProject (tx: Transaction, projectId: string): Promise<void> {
  await tx.query(sql.type(z.object({ id: z.uuid() }))`select id from projects where id = ${projectId} for no key update`)
}

/**
 * Rejects with `Conflict` when a merge request with these branches is open. The caller must hold the lock of the
 * project.
 */
async function assertOnlyOne (tx: Transaction, projectId: string, { sourceBranch, targetBranch }: Pick<MergeRequest, 'sourceBranch' | 'targetBranch'>): Promise<void> {
  const number = await tx.maybeOneFirst(sql.type(z.object({ number: z.int() }))`
    select number from merge_requests
    where project_id = ${projectId} and status = 'open' and source_branch = ${sourceBranch} and target_branch = ${targetBranch} limit 1
  `)
  if (number !== null) throw new Conflict(`The merge request #${number} from "${sourceBranch}" into "${targetBranch}" is open already. Change, merge or close that one.`)
}

function assertDiffer (source: string, target: string): void {
  if (source === target) throw new ValidationFailed([{ path: 'body.targetBranch', message: 'It must be another branch than the source.' }])
}

const refuseUnknown = (): never => { throw new NotFound('There is no such merge request.') }
const blocked = () => new Conflict('Changes are requested. It can be merged once each who requested them has withdrawn that, or reviewed it again.')
