// Reviews of merge requests. Each person has at most one standing verdict.

import { Conflict, Forbidden, NotFound, sql, z } from 'bulkhead'
import type { Postgres } from 'bulkhead'
import type { Asker, RecordChange } from './change.ts'
import { Body } from './form.ts'
import { holdMergeRequest, mergeRequestInEvent, type MergeRequest } from './merge-request.ts'
import type { Standing } from './standing.ts'

const Verdict = z.enum(['approve', 'request_changes', 'comment'])

export const Review = z.object({ id: z.uuid(), reviewerId: z.uuid(), verdict: Verdict, body: z.string(), createdAt: z.iso.datetime() })
export type Review = z.infer<typeof Review>
export const NewReview = z.object({ verdict: Verdict, body: Body.default('') })

const columns = sql.fragment`id, reviewer_id as "reviewerId", verdict, coalesce(body, '') as body, created_at as "createdAt"`

export interface Reviews {
  /** Lists the standing reviews, oldest first; there is at most one of each person. */
  list (mergeRequestId: string): Promise<{ items: Review[], total: number }>
  /**
   * Gives a review, which replaces the reviewer's previous one. Rejects with `Conflict` unless the merge request is
   * open.
   */
  give (by: Asker, standing: Standing, number: number, input: z.output<typeof NewReview>): Promise<Review>
  /**
   * Withdraws a review. Rejects with `NotFound` when the reviewer has no standing review, and with `Conflict` unless
   * the merge request is open.
   */
  withdraw (by: Asker, standing: Standing, number: number, reviewerId: string): Promise<void>
}

export function createReviews ({ postgres, record }: { postgres: Postgres, record: RecordChange }): Reviews {
  const list: Reviews['list'] = async mergeRequestId => {
    const items = await postgres.any(sql.type(Review)`select ${columns} from mr_reviews where mr_id = ${mergeRequestId} order by created_at, id`)
    return { items: [...items], total: items.length }
  }

  const give: Reviews['give'] = (by, { project }, number, { verdict, body }) => postgres.transaction(async tx => {
    // The merge request is locked until the end. Two reviews of one person therefore run one after the other, and a
    // merge runs before or after them.
    const mergeRequest = await holdMergeRequest(tx, project.id, number)
    if (mergeRequest.authorId === by.user.id) throw new Forbidden('You cannot review your own merge request.')
    assertOpen(mergeRequest)
    await tx.query(sql.unsafe`delete from mr_reviews where mr_id = ${mergeRequest.id} and reviewer_id = ${by.user.id}`)
    const review = await tx.one(sql.type(Review)`
      insert into mr_reviews (project_id, mr_id, reviewer_id, verdict, body)
      values (${project.id}, ${mergeRequest.id}, ${by.user.id}, ${verdict}, ${body}) returning ${columns}
    `)
    await record(tx, {
      by, action: 'merge-request.review', project, id: mergeRequest.id,
      payload: { mergeRequest: mergeRequestInEvent(mergeRequest), review: { id: review.id, reviewerId: by.user.id, verdict, body } },
      detail: { number, verdict }
    })
    return review
  })

  const withdraw: Reviews['withdraw'] = (by, standing, number, reviewerId) => postgres.transaction(async tx => {
    const { project } = standing
    if (reviewerId !== by.user.id) standing.need('comment:moderate')
    const mergeRequest = await holdMergeRequest(tx, project.id, number)
    assertOpen(mergeRequest)
    const verdict = await tx.maybeOneFirst(sql.type(z.object({ verdict: Verdict }))`
      delete from mr_reviews where mr_id = ${mergeRequest.id} and reviewer_id = ${reviewerId} returning verdict
    `)
    if (verdict === null) throw new NotFound('There is no such review.')
    await record(tx, {
      by, action: 'merge-request.withdraw-review', project, id: mergeRequest.id,
      payload: { mergeRequest: mergeRequestInEvent(mergeRequest), changes: ['reviews'] }, detail: { number, reviewerId, verdict }
    })
  })

  return { list, give, withdraw }
}

function assertOpen ({ status }: MergeRequest): void {
  if (status !== 'open') throw new Conflict(`The merge request is ${status}: its reviews stay as they are.`)
}
