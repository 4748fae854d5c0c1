// Routes of /api/projects: the projects themselves.

import { z } from 'bulkhead'
import type { Access, Routes, User } from 'bulkhead'
import { InProject, listOf, Name, Page } from './form.ts'
import { findNames } from './name.ts'
import { Deleted, NewProject, Project, ProjectChange, ProjectFilter, type Projects } from './project.ts'
import type { Standings } from './standing.ts'

const Shown = Project.extend({ ownerName: z.string().nullable() })

interface Parts { routes: Routes, access: Access, projects: Projects, standings: Standings }

export function registerProjects ({ routes, access, projects, standings }: Parts): void {
  const show = async (project: Project, caller: User): Promise<z.input<typeof Shown>> =>
    ({ ...project, ownerName: (await findNames(access, caller, [project.ownerId]))(project.ownerId) })

  routes.post('/', {
    permission: 'project:write', summary: 'Make a project of one\'s own', body: NewProject, returns: Shown, status: 201
  }, async (ctx) => show(await projects.create(ctx, ctx.input.body), ctx.user))

  routes.get('/', {
    signedIn: 'lists what the caller may see', project: 'narrowed',
    summary: 'List projects, newest first: one\'s own, those where one may read, internal and public ones', query: ProjectFilter, returns: listOf(Shown)
  }, async ({ user, input }) => {
    const { items, ...rest } = await projects.list(user, input.query)
    const nameOf = await findNames(access, user, items.map(({ ownerId }) => ownerId))
    return { items: items.map(project => ({ ...project, ownerName: nameOf(project.ownerId) })), ...rest }
  })

  routes.get('/deleted', {
    permission: 'project:restore', summary: 'List deleted projects, the last one first', query: Page, returns: listOf(Deleted)
  }, ({ input }) => projects.listDeleted(input.query))

  routes.get('/:projectId', {
    signedIn: 'its owner may, and users who may read there, and everyone if it is not private', project: 'params.projectId',
    summary: 'One project', params: InProject, returns: Shown
  }, async ({ user, input }) => show((await standings.require(user, input.params.projectId, 'project:read')).project, user))

  routes.get('/:projectId/permissions', {
    signedIn: 'tells callers about themselves', project: 'params.projectId',
    summary: 'What the caller may do in the project', params: InProject, returns: z.object({ isOwner: z.boolean(), permissions: z.array(z.string()) })
  }, async ({ user, input }) => {
    const { project, held } = await standings.know(user, input.params.projectId)
    return { isOwner: project.ownerId === user.id, permissions: [...held].sort() }
  })

  routes.patch('/:projectId', {
    signedIn: 'its owner may, and users who may write there', project: 'params.projectId',
    summary: 'Change a project', params: InProject, body: ProjectChange, returns: Shown
  }, async (ctx) => {
    const { project } = await standings.require(ctx.user, ctx.input.params.projectId, 'project:write')
    return show(await projects.change(ctx, project.id, ctx.input.body), ctx.user)
  })

  routes.delete('/:projectId', {
    signedIn: 'its owner may, and users who may delete there', project: 'params.projectId',
    summary: 'Delete a project; an admin can restore it', params: InProject
  }, async (ctx) => {
    const { project } = await standings.require(ctx.user, ctx.input.params.projectId, 'project:delete')
    await projects.remove(ctx, project)
  })

  routes.post('/:projectId/restore', {
    permission: 'project:restore', summary: 'Restore a deleted project, under another name where its own is taken',
    params: InProject, body: z.object({ name: Name.optional() }), returns: Shown
  }, async (ctx) => show(await projects.restore(ctx, ctx.input.params.projectId, ctx.input.body.name), ctx.user))
}
