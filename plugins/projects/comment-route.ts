// Routes of comments: /api/projects/:projectId/issues/:number/comments, …/merge-requests/:number/comments and
// …/comments/:id.

import { z } from 'bulkhead'
import type { Access, Routes } from 'bulkhead'
import { Comment, NewComment, type Comments, type Target } from './comment.ts'
import { AtNumber, InProject, listOf, Page } from './form.ts'
import { findNames } from './name.ts'
import type { Standings } from './standing.ts'
import { needScope } from './token.ts'

const Shown = Comment.extend({ authorName: z.string().nullable() })
const One = InProject.extend({ id: z.uuid() })

interface Parts {
  routes: Routes
  access: Access
  comments: Comments
  standings: Standings
  findIssue (projectId: string, number: number): Promise<Target>
  findMergeRequest (projectId: string, number: number): Promise<Target>
}

export function registerComments ({ routes, access, comments, standings, findIssue, findMergeRequest }: Parts): void {
  for (const [things, thing, find] of [['issues', 'an issue', findIssue], ['merge-requests', 'a merge request', findMergeRequest]] as const) {
    routes.get(`/:projectId/${things}/:number/comments`, {
      signedIn: 'every user who may see the project may', project: 'params.projectId',
      summary: `List the comments on ${thing}, the oldest first`, params: AtNumber, query: Page, returns: listOf(Shown)
    }, async ({ user, input }) => {
      const { project } = await standings.require(user, input.params.projectId, 'project:read')
      const { items, ...rest } = await comments.list(await find(project.id, input.params.number), input.query)
      const nameOf = await findNames(access, user, items.map(({ authorId }) => authorId))
      return { items: items.map(comment => ({ ...comment, authorName: nameOf(comment.authorId) })), ...rest }
    })

    routes.post(`/:projectId/${things}/:number/comments`, {
      signedIn: 'every user who may see the project may, except with a token that only reads', project: 'params.projectId',
      summary: `Comment on ${thing}`, params: AtNumber, body: NewComment, returns: Shown, status: 201
    }, async (ctx) => {
      const { input: { params, body }, user } = ctx
      const standing = await standings.require(user, params.projectId, 'project:read')
      needScope(user, 'project:write')
      const target = await find(standing.project.id, params.number)
      return { ...await comments.add(ctx, standing, target, body.body), authorName: user.name }
    })
  }

  routes.patch('/:projectId/comments/:id', {
    signedIn: 'its author may; others need comment:moderate', project: 'params.projectId',
    summary: 'Change a comment', params: One, body: NewComment, returns: Shown
  }, async (ctx) => {
    const { input: { params, body }, user } = ctx
    const standing = await standings.require(user, params.projectId, 'project:read')
    const comment = await comments.change(ctx, standing, params.id, body.body)
    return { ...comment, authorName: (await findNames(access, user, [comment.authorId]))(comment.authorId) }
  })

  routes.delete('/:projectId/comments/:id', {
    signedIn: 'its author may; others need comment:moderate', project: 'params.projectId', summary: 'Delete a comment', params: One
  }, async (ctx) => {
    const { input: { params }, user } = ctx
    await comments.remove(ctx, await standings.require(user, params.projectId, 'project:read'), params.id)
  })
}
