// Routes of /api/projects/:projectId/merge-requests and of their reviews.

import { z } from 'bulkhead'
import type { Access, Routes, User } from 'bulkhead'
import { AtNumber, InProject, listOf } from './form.ts'
import { MergeRequest, MergeRequestChange, MergeRequestFilter, NewMergeRequest, type MergeRequests } from './merge-request.ts'
import { findNames } from './name.ts'
import { NewReview, Review, type Reviews } from './review.ts'
import type { Standings } from './standing.ts'
import { needScope } from './token.ts'
import type { TakeTurn } from './turn.ts'

const Shown = MergeRequest.extend({ authorName: z.string().nullable() })
const ShownReview = Review.extend({ reviewerName: z.string().nullable() })
const Reviewer = AtNumber.extend({ reviewerId: z.uuid() })
const path = '/:projectId/merge-requests'

interface Parts {
  routes: Routes
  access: Access
  mergeRequests: MergeRequests
  reviews: Reviews
  standings: Standings
  takeOwnTurn: TakeTurn
}

export function registerMergeRequests ({ routes, access, mergeRequests, standings, takeOwnTurn }: Parts): void {
  const show = async (found: MergeRequest, caller: User): Promise<z.input<typeof Shown>> =>
    ({ ...found, authorName: (await findNames(access, caller, [found.authorId]))(found.authorId) })

  routes.post(path, {
    signedIn: 'the project\'s owner may, and users who may write there', project: 'params.projectId',
    summary: 'Open a merge request', params: InProject, body: NewMergeRequest, returns: Shown, status: 201
  }, (ctx) => takeOwnTurn(ctx.user.id, async () => {
    const standing = await standings.require(ctx.user, ctx.input.params.projectId, 'project:write')
    return show(await mergeRequests.open(ctx, standing, ctx.input.body), ctx.user)
  }))

  routes.get(path, {
    signedIn: 'every user who may see the project may', project: 'params.projectId',
    summary: 'List merge requests, newest first; what is given must all hold', params: InProject, query: MergeRequestFilter, returns: listOf(Shown)
  }, async ({ user, input }) => {
    const { project } = await standings.require(user, input.params.projectId, 'project:read')
    const { items, ...rest } = await mergeRequests.list(project.id, input.query)
    const nameOf = await findNames(access, user, items.map(({ authorId }) => authorId))
    return { items: items.map(found => ({ ...found, authorName: nameOf(found.authorId) })), ...rest }
  })

  routes.get(`${path}/:number`, {
    signedIn: 'every user who may see the project may', project: 'params.projectId', summary: 'One merge request', params: AtNumber, returns: Shown
  }, async ({ user, input }) => {
    const { project } = await standings.require(user, input.params.projectId, 'project:read')
    return show(await mergeRequests.find(project.id, input.params.number), user)
  })

  routes.patch(`${path}/:number`, {
    signedIn: 'its author may, and users who may write in the project', project: 'params.projectId',
    summary: 'Change a merge request; its target only while it is open', params: AtNumber, body: MergeRequestChange, returns: Shown
  }, async (ctx) => {
    const standing = await standings.know(ctx.user, ctx.input.params.projectId)
    return show(await mergeRequests.change(ctx, standing, ctx.input.params.number, ctx.input.body), ctx.user)
  })

  for (const [move, summary] of [
    ['close', 'Close a merge request that is open'],
    ['reopen', 'Reopen a merge request that is closed'],
    ['merge', 'Record that an open merge request is merged, for good; not while changes are requested']
  ] as const) {
    routes.post(`${path}/:number/${move}`, {
      signedIn: move === 'merge' ? 'the project\'s owner may, and users who may write there' : 'its author may, and users who may write in the project',
      project: 'params.projectId', summary, params: AtNumber, returns: Shown
    }, async (ctx) => {
      const standing = await standings.know(ctx.user, ctx.input.params.projectId)
      return show(await mergeRequests.move(ctx, standing, ctx.input.params.number, move), ctx.user)
    })
  }
}

export function registerReviews ({ routes, access, mergeRequests, reviews, standings }: Parts): void {
  routes.get(`${path}/:number/reviews`, {
    signedIn: 'every user who may see the project may', project: 'params.projectId', summary: 'The standing reviews, the oldest first',
    params: AtNumber, returns: z.object({ items: z.array(ShownReview), total: z.int() })
  }, async ({ user, input }) => {
    const { project } = await standings.require(user, input.params.projectId, 'project:read')
    const { id } = await mergeRequests.find(project.id, input.params.number)
    const { items, total } = await reviews.list(id)
    const nameOf = await findNames(access, user, items.map(({ reviewerId }) => reviewerId))
    return { items: items.map(review => ({ ...review, reviewerName: nameOf(review.reviewerId) })), total }
  })

  routes.post(`${path}/:number/reviews`, {
    signedIn: 'readers may comment; to approve and to request changes takes the right to write', project: 'params.projectId',
    summary: 'Review a merge request of someone else; takes the place of one\'s review before', params: AtNumber, body: NewReview, returns: ShownReview, status: 201
  }, async (ctx) => {
    const { input: { params, body }, user } = ctx
    const standing = await standings.require(user, params.projectId, body.verdict === 'comment' ? 'project:read' : 'project:write')
    needScope(user, 'project:write')
    return { ...await reviews.give(ctx, standing, params.number, body), reviewerName: user.name }
  })

  routes.delete(`${path}/:number/reviews/:reviewerId`, {
    signedIn: 'withdraws a review of the caller\'s own; others need comment:moderate', project: 'params.projectId',
    summary: 'Withdraw a review while the merge request is open', params: Reviewer
  }, async (ctx) => {
    const { input: { params }, user } = ctx
    const standing = await standings.require(user, params.projectId, 'project:read')
    needScope(user, 'project:write')
    await reviews.withdraw(ctx, standing, params.number, params.reviewerId)
  })
}
