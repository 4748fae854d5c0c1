// Defines comments on issues and merge requests, and contains every statement on their table.

import { Forbidden, NotFound, sql, z } from 'bulkhead'
import type { Postgres, Transaction, User } from 'bulkhead'
import type { Asker, RecordChange } from './change.ts'
import { CommentBody, type Listed, type Page } from './form.ts'
import { issueInEvent, type Issue } from './issue.ts'
import { mergeRequestInEvent, type MergeRequest } from './merge-request.ts'
import { byMoment } from './page.ts'
import type { Standing } from './standing.ts'
import { isInScope } from './token.ts'

export const Comment = z.object({ id: z.uuid(), authorId: z.uuid(), body: z.string(), createdAt: z.iso.datetime(), updatedAt: z.iso.datetime() })
export type Comment = z.infer<typeof Comment>
export const NewComment = z.object({ body: CommentBody })

/** The issue or merge request of a comment. */
export type Target = { readonly issue: Issue } | { readonly mergeRequest: MergeRequest }

const columns = sql.fragment`id, author_id as "authorId", body, created_at as "createdAt", updated_at as "updatedAt"`
const Placed = Comment.extend({ createdUs: z.int() })
const Total = z.object({ total: z.int() })
const On = z.object({ issueNumber: z.int().nullable(), mergeRequestNumber: z.int().nullable() })

export interface Comments {
  /** Lists the comments, oldest first. */
  list (target: Target, page: Page): Promise<Listed<Comment>>
  add (by: Asker, standing: Standing, target: Target, body: string): Promise<Comment>
  /** Changes a comment. The caller must be its author or hold `comment:moderate`. */
  change (by: Asker, standing: Standing, id: string, body: string): Promise<Comment>
  remove (by: Asker, standing: Standing, id: string): Promise<void>
}

interface Parts {
  postgres: Postgres
  record: RecordChange
  findTarget (projectId: string, on: z.infer<typeof On>): Promise<Target>
}

export function createComments ({ postgres, record, findTarget }: Parts): Comments {
  const list: Comments['list'] = async (target, { limit, cursor }) => {
    const { issueId, mergeRequestId } = idsOf(target)
    const [fromUs = null, fromId = null] = byMoment.read(cursor) ?? []
    const [rows, total] = await Promise.all([
      postgres.any(sql.type(Placed)`
        select ${columns}, (extract(epoch from created_at) * 1000000)::bigint as "createdUs"
        from comments
        where (issue_id = ${issueId}::uuid or mr_id = ${mergeRequestId}::uuid)
          and (${fromUs}::bigint is null or ((extract(epoch from created_at) * 1000000)::bigint, id) > (${fromUs}::bigint, ${fromId}::uuid))
        order by created_at, id limit ${limit + 1}
      `),
      postgres.oneFirst(sql.type(Total)`select count(*) as total from comments where issue_id = ${issueId}::uuid or mr_id = ${mergeRequestId}::uuid`)
    ])
    return byMoment.page(rows, limit, total, ({ createdUs, id }) => [createdUs, id])
  }

  const add: Comments['add'] = (by, { project }, target, body) => postgres.transaction(async tx => {
    const { issueId, mergeRequestId } = idsOf(target)
    const comment = await tx.one(sql.type(Comment)`
      insert into comments (project_id, issue_id, mr_id, author_id, body)
      values (${project.id}, ${issueId}, ${mergeRequestId}, ${by.user.id}, ${body}) returning ${columns}
    `)
    await record(tx, { by, action: 'comment.create', project, id: comment.id, payload: inEvent(comment, target), detail: about(target) })
    return comment
  })

  const change: Comments['change'] = async (by, standing, id, body) => {
    const { project } = standing
    const target = await findOn(project.id, id)
    return postgres.transaction(async tx => {
      needAuthorOrModerator(standing, by.user, await hold(tx, project.id, id))
      const comment = await tx.one(sql.type(Comment)`update comments set body = ${body} where id = ${id} returning ${columns}`)
      await record(tx, { by, action: 'comment.change', project, id, payload: inEvent(comment, target), detail: about(target) })
      return comment
    })
  }

  const remove: Comments['remove'] = async (by, standing, id) => {
    const { project } = standing
    const target = await findOn(project.id, id)
    await postgres.transaction(async tx => {
      const comment = await hold(tx, project.id, id)
      needAuthorOrModerator(standing, by.user, comment)
      await tx.query(sql.unsafe`delete from comments where id = ${id}`)
      await record(tx, { by, action: 'comment.delete', project, id, payload: inEvent(comment, target), detail: { ...about(target), authorId: comment.authorId } })
    })
  }

  const findOn = async (projectId: string, id: string): Promise<Target> => {
    const on = await postgres.maybeOne(sql.type(On)`
      select i.number as "issueNumber", m.number as "mergeRequestNumber"
      from comments c left join issues i on i.id = c.issue_id left join merge_requests m on m.id = c.mr_id
      where c.id = ${id} and c.project_id = ${projectId}
    `)
    return findTarget(projectId, on ?? refuseUnknown())
  }

  return { list, add, change, remove }
}

const idsOf = (target: Target): { issueId: string | null, mergeRequestId: string | null } => 'issue' in target
  ? { issueId: target.issue.id, mergeRequestId: null } : { issueId: null, mergeRequestId: target.mergeRequest.id }

const about = (target: Target): Record<string, number> => 'issue' in target ? { issue: target.issue.number } : { mergeRequest: target.mergeRequest.number }

const inEvent = ({ id, body, authorId }: Comment, target: Target): Record<string, unknown> => ({
  comment: { id, body, authorId }, ...'issue' in target ? { issue: issueInEvent(target.issue) } : { mergeRequest: mergeRequestInEvent(target.mergeRequest) }
})

const hold = async (tx: Transaction, projectId: string, id: string): Promise<Comment> =>
  await tx.maybeOne(sql.type(Comment)`select ${columns} from comments where id = ${id} and project_id = ${projectId} for update`) ?? refuseUnknown()

function needAuthorOrModerator ({ can }: Standing, user: User, { authorId }: Comment): void {
  if ((authorId === user.id && isInScope(user, 'project:write')) || can('comment:moderate')) return
  throw new Forbidden('This needs to be its author, or the permission "comment:moderate".')
}

const refuseUnknown = (): never => { throw new NotFound('There is no such comment.') }
