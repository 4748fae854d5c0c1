// Routes of /api/projects/:projectId/issues.

import { z } from 'bulkhead'
import type { Access, Routes, User } from 'bulkhead'
import { AtNumber, InProject, listOf } from './form.ts'
import { Issue, IssueChange, IssueFilter, NewIssue, type Issues } from './issue.ts'
import { findNames } from './name.ts'
import type { Standings } from './standing.ts'
import type { TakeTurn } from './turn.ts'

const Shown = Issue.extend({ authorName: z.string().nullable(), assigneeName: z.string().nullable() })

interface Parts { routes: Routes, access: Access, issues: Issues, standings: Standings, takeOwnTurn: TakeTurn }

export function registerIssues ({ routes, access, issues, standings, takeOwnTurn }: Parts): void {
  const showAll = async (found: readonly Issue[], caller: User): Promise<z.input<typeof Shown>[]> => {
    const nameOf = await findNames(access, caller, found.flatMap(({ authorId, assigneeId }) => [authorId, assigneeId]))
    return found.map(issue => ({ ...issue, authorName: nameOf(issue.authorId), assigneeName: nameOf(issue.assigneeId) }))
  }
  const show = async (issue: Issue, caller: User): Promise<z.input<typeof Shown>> => {
    const nameOf = await findNames(access, caller, [issue.authorId, issue.assigneeId])
    return { ...issue, authorName: nameOf(issue.authorId), assigneeName: nameOf(issue.assigneeId) }
  }

  routes.post('/:projectId/issues', {
    signedIn: 'the project\'s owner may, and users who may write there', project: 'params.projectId',
    summary: 'Open an issue', params: InProject, body: NewIssue, returns: Shown, status: 201
  }, (ctx) => takeOwnTurn(ctx.user.id, async () => {
    const standing = await standings.require(ctx.user, ctx.input.params.projectId, 'project:write')
    return show(await issues.open(ctx, standing, ctx.input.body), ctx.user)
  }))

  routes.get('/:projectId/issues', {
    signedIn: 'every user who may see the project may', project: 'params.projectId',
    summary: 'List issues, newest first; what is given must all hold', params: InProject, query: IssueFilter, returns: listOf(Shown)
  }, async ({ user, input }) => {
    const { project } = await standings.require(user, input.params.projectId, 'project:read')
    const { items, ...rest } = await issues.list(project.id, input.query)
    return { items: await showAll(items, user), ...rest }
  })

  routes.get('/:projectId/issues/:number', {
    signedIn: 'every user who may see the project may', project: 'params.projectId', summary: 'One issue', params: AtNumber, returns: Shown
  }, async ({ user, input }) => {
    const { project } = await standings.require(user, input.params.projectId, 'project:read')
    return show(await issues.find(project.id, input.params.number), user)
  })

  routes.patch('/:projectId/issues/:number', {
    signedIn: 'its author may, and users who may write in the project', project: 'params.projectId',
    summary: 'Change an issue', params: AtNumber, body: IssueChange, returns: Shown
  }, async (ctx) => {
    const standing = await standings.know(ctx.user, ctx.input.params.projectId)
    return show(await issues.change(ctx, standing, ctx.input.params.number, ctx.input.body), ctx.user)
  })

  for (const [move, summary] of [['close', 'Close an issue that is open'], ['reopen', 'Reopen an issue that is closed']] as const) {
    routes.post(`/:projectId/issues/:number/${move}`, {
      signedIn: 'its author may, and users who may write in the project', project: 'params.projectId', summary, params: AtNumber, returns: Shown
    }, async (ctx) => {
      const standing = await standings.know(ctx.user, ctx.input.params.projectId)
      return show(await issues.move(ctx, standing, ctx.input.params.number, move), ctx.user)
    })
  }
}
