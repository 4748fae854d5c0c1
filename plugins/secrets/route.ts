// Routes of /api/secrets: the same routes for the secrets of the platform, under `global`, and for those of a project,
// under `projects/<id>`. The project is in the path because it is part of a secret's identity; the host's guard
// therefore checks the permission in that project.

import { z, type ProjectSource, type Routes, type User } from 'bulkhead'
import { Name, NewValue, Page, Revealed, Secret, SecretVersion, Version } from './form.ts'
import type { Project } from './project.ts'
import type { By, Secrets } from './secret.ts'

export interface Place {
  readonly path: '/global' | '/projects/:projectId'
  readonly guard: { readonly project?: ProjectSource }
  readonly params: Readonly<Record<string, z.ZodType<string>>>
  /** Resolves with the project of the request, or with null for the platform. */
  readonly projectOf: (params: OfProject) => Promise<Project | null>
}

interface OfProject { readonly projectId?: string }
interface Named extends OfProject { readonly name: string }

const listOf = <Item extends z.ZodType>(item: Item) => z.object({ items: z.array(item), total: z.int() })
const Listing = Page.extend({ deleted: z.enum(['true', 'false']).default('false').transform(word => word === 'true') })
const Expected = z.object({ version: z.coerce.number().pipe(Version).optional() })
const Rollback = z.object({ to: Version, version: Version.optional() })
const AtVersion = z.object({ version: Version.optional() })

const byOf = ({ user, ip }: { user: User, ip: string }): By => ({ user, address: ip })

export function registerSecrets (routes: Routes, secrets: Secrets, { path, guard, params, projectOf }: Place): void {
  const ofProject: z.ZodType<OfProject> = z.object(params)
  const named: z.ZodType<Named> = z.object({ ...params, name: Name })
  const read = { permission: 'secret:read', ...guard } as const
  const write = { permission: 'secret:write', ...guard } as const

  routes.get(path, {
    ...read, params: ofProject, query: Listing, returns: listOf(Secret), summary: 'List secrets by name, without their values; with ?deleted=true those that were deleted'
  }, async ({ input }) => secrets.list(await projectOf(input.params), input.query))

  routes.get(`${path}/:name`, { ...read, params: named, returns: Secret, summary: 'A secret, without its value; also one that was deleted' },
    async ({ input: { params } }) => secrets.find(await projectOf(params), params.name))

  routes.put(`${path}/:name`, {
    ...write, params: named, body: NewValue, returns: Secret,
    summary: 'Make a secret or give it a new value, as the next version; with "version" only if it is at that one (0: there is none)'
  }, async (ctx) => secrets.put(await projectOf(ctx.input.params), ctx.input.params.name, ctx.input.body, byOf(ctx)))

  routes.delete(`${path}/:name`, {
    ...write, params: named, query: Expected, summary: 'Delete a secret; it can be undeleted for a while. With ?version= only if it is at that one'
  }, async (ctx) => secrets.remove(await projectOf(ctx.input.params), ctx.input.params.name, ctx.input.query.version, byOf(ctx)))

  routes.post(`${path}/:name/undelete`, { ...write, params: named, returns: Secret, summary: 'Have a deleted secret back, as it was' },
    async (ctx) => secrets.undelete(await projectOf(ctx.input.params), ctx.input.params.name, byOf(ctx)))

  routes.get(`${path}/:name/versions`, { ...read, params: named, returns: z.object({ items: z.array(SecretVersion) }), summary: 'The versions that are kept, the newest first' },
    async ({ input: { params } }) => ({ items: await secrets.versions(await projectOf(params), params.name) }))

  routes.post(`${path}/:name/rollback`, {
    ...write, params: named, body: Rollback, returns: Secret, summary: 'Make the value and scope of an earlier version ("to") the next version'
  }, async (ctx) => secrets.rollback(await projectOf(ctx.input.params), ctx.input.params.name, ctx.input.body, byOf(ctx)))

  routes.post(`${path}/:name/reveal`, {
    permission: 'secret:reveal', ...guard, params: named, body: AtVersion.optional(), returns: Revealed,
    summary: 'See the value, of the current or an earlier version; it is noted in the audit log'
  }, async (ctx) => secrets.reveal(await projectOf(ctx.input.params), ctx.input.params.name, ctx.input.body?.version, byOf(ctx)))
}
