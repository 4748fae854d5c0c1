// Defines a project and contains every statement on the table of projects.

import { Conflict, multiLine, NotFound, singleLine, sql, z } from 'bulkhead'
import type { Access, Postgres, Transaction, User } from 'bulkhead'
import { changedFields, type Asker, type RecordChange } from './change.ts'
import { Branch, Name, Page, type Listed } from './form.ts'
import { byMoment, containing } from './page.ts'
import { boundProjectOf, needScope } from './token.ts'

const Visibility = z.enum(['private', 'internal', 'public'])

export const Project = z.object({
  id: z.uuid(),
  ownerId: z.uuid(),
  name: z.string(),
  displayName: z.string().nullable(),
  description: z.string().nullable(),
  visibility: Visibility,
  defaultBranch: z.string(),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime()
})
export type Project = z.infer<typeof Project>

export const projectColumns = sql.fragment`
  id, owner_id as "ownerId", name, display_name as "displayName", description, visibility, default_branch as "defaultBranch",
  created_at as "createdAt", updated_at as "updatedAt"
`

export const NewProject = z.object({
  name: Name,
  displayName: singleLine(255).nullish(),
  description: multiLine(10_000).nullish(),
  visibility: Visibility.default('private'),
  defaultBranch: Branch.default('main')
})
export const ProjectChange = z.object({
  name: Name,
  displayName: singleLine(255).nullable(),
  description: multiLine(10_000).nullable(),
  visibility: Visibility,
  defaultBranch: Branch
}).partial()

export const ProjectFilter = Page.extend({
  ownerId: z.uuid().optional(),
  name: Name.optional(),
  visibility: Visibility.optional(),
  /** A text that occurs in the name, the display name or the description. */
  text: singleLine(200).optional()
})

export const Deleted = z.object({ id: z.uuid(), ownerId: z.uuid(), name: z.string(), deletedBy: z.uuid(), deletedAt: z.iso.datetime() })
type Deleted = z.infer<typeof Deleted>

const Total = z.object({ total: z.int() })
const micros = { createdUs: z.int() }

export interface Projects {
  create (by: Asker, input: z.output<typeof NewProject>): Promise<Project>
  /**
   * Lists the projects that the user may see, newest first. Rejects with `Forbidden` for a token whose scopes do not
   * include `project:read`.
   */
  list (user: User, filter: z.output<typeof ProjectFilter>): Promise<Listed<Project>>
  change (by: Asker, id: string, change: z.output<typeof ProjectChange>): Promise<Project>
  /** Marks the project as deleted. It stays stored, and its name becomes free. */
  remove (by: Asker, project: Project): Promise<void>
  listDeleted (page: Page): Promise<Listed<Deleted>>
  /** Restores a deleted project under its former name, unless another name is given. */
  restore (by: Asker, id: string, name: string | undefined): Promise<Project>
}

export function createProjects ({ postgres, access, record }: { postgres: Postgres, access: Access, record: RecordChange }): Projects {
  const create: Projects['create'] = (by, { name, displayName = null, description = null, visibility, defaultBranch }) =>
    postgres.transaction(async tx => {
      const project = await tx.maybeOne(sql.type(Project)`
        insert into projects (owner_id, name, display_name, description, visibility, default_branch, repo_path)
        values (${by.user.id}, ${name}, ${displayName}, ${description}, ${visibility}, ${defaultBranch}, null)
        on conflict (owner_id, name) do nothing
        returning ${projectColumns}
      `)
      if (project === null) throw taken(name)
      await record(tx, { by, action: 'project.create', project, id: project.id, payload: {}, detail: { name, visibility } })
      return project
    })

  const list: Projects['list'] = async (user, { limit, cursor, ownerId = null, name = null, visibility = null, text }) => {
    needScope(user, 'project:read')
    const reach = await access.projectsWith(user, 'project:read')
    const bound = boundProjectOf(user)
    const [fromUs = null, fromId = null] = byMoment.read(cursor) ?? []
    const like = containing(text)
    const seen = sql.fragment`
      is_active and (
        ${reach.isEverywhere} or id = any(${sql.array(reach.projectIds, 'uuid')})
        or ((owner_id = ${user.id} or visibility <> 'private') and (${bound}::uuid is null or id = ${bound}::uuid))
      )
      and (${ownerId}::uuid is null or owner_id = ${ownerId}::uuid)
      and (${name}::text is null or name = ${name}::text)
      and (${visibility}::text is null or visibility = ${visibility}::text)
      and (${like}::text is null or name ilike ${like}::text or display_name ilike ${like}::text or description ilike ${like}::text)
    `
    const [rows, total] = await Promise.all([
      postgres.any(sql.type(Project.extend(micros))`
        select ${projectColumns}, (extract(epoch from created_at) * 1000000)::bigint as "createdUs"
        from projects
        where ${seen}
          and (${fromUs}::bigint is null or ((extract(epoch from created_at) * 1000000)::bigint, id) < (${fromUs}::bigint, ${fromId}::uuid))
        order by created_at desc, id desc limit ${limit + 1}
      `),
      postgres.oneFirst(sql.type(Total)`select count(*) as total from projects where ${seen}`)
    ])
    return byMoment.page(rows, limit, total, ({ createdUs, id }) => [createdUs, id])
  }

  const change: Projects['change'] = (by, id, input) => postgres.transaction(async tx => {
    const before = await hold(tx, id)
    const changes = changedFields(before, input)
    if (changes.length === 0) return before
    const { name, displayName, description, visibility, defaultBranch } = { ...before, ...input }
    const project = await named(name, tx.one(sql.type(Project)`
      update projects
      set name = ${name}, display_name = ${displayName}, description = ${description}, visibility = ${visibility}, default_branch = ${defaultBranch}
      where id = ${id} returning ${projectColumns}
    `))
    await record(tx, {
      by, action: 'project.change', project, id, payload: { changes },
      detail: { changes, ...before.name !== name && { from: before.name, to: name }, ...before.visibility !== visibility && { visibility } }
    })
    return project
  })

  const remove: Projects['remove'] = (by, { id }) => postgres.transaction(async tx => {
    const project = await hold(tx, id)
    // No project can be given such a name, so it blocks no other project.
    await tx.query(sql.unsafe`update projects set is_active = false, name = '~deleted-' || id where id = ${id}`)
    await tx.query(sql.unsafe`insert into projects.deletion (project_id, name, deleted_by) values (${id}, ${project.name}, ${by.user.id})`)
    await record(tx, { by, action: 'project.delete', project, id, payload: {}, detail: { name: project.name } })
  })

  const listDeleted: Projects['listDeleted'] = async ({ limit, cursor }) => {
    const [fromUs = null, fromId = null] = byMoment.read(cursor) ?? []
    const [rows, total] = await Promise.all([
      postgres.any(sql.type(Deleted.extend({ deletedUs: z.int() }))`
        select p.id, p.owner_id as "ownerId", d.name, d.deleted_by as "deletedBy", d.deleted_at as "deletedAt",
          (extract(epoch from d.deleted_at) * 1000000)::bigint as "deletedUs"
        from projects.deletion d join projects p on p.id = d.project_id
        where ${fromUs}::bigint is null or ((extract(epoch from d.deleted_at) * 1000000)::bigint, d.project_id) < (${fromUs}::bigint, ${fromId}::uuid)
        order by d.deleted_at desc, d.project_id desc limit ${limit + 1}
      `),
      postgres.oneFirst(sql.type(Total)`select count(*) as total from projects.deletion`)
    ])
    return byMoment.page(rows, limit, total, ({ deletedUs, id }) => [deletedUs, id])
  }

  const restore: Projects['restore'] = (by, id, newName) => postgres.transaction(async tx => {
    const name = await tx.maybeOneFirst(sql.type(z.object({ name: z.string() }))`
      delete from projects.deletion where project_id = ${id} returning coalesce(${newName ?? null}::text, name) as name
    `)
    if (name === null) throw new NotFound('There is no such deleted project.')
    const project = await named(name, tx.one(sql.type(Project)`
      update projects set is_active = true, name = ${name} where id = ${id} and not is_active returning ${projectColumns}
    `))
    await record(tx, { by, action: 'project.restore', project, id, payload: {}, detail: { name } })
    return project
  })

  return { create, list, change, remove, listDeleted, restore }
}

/** Locks a project, so that no other transaction changes it until this one ends. */
async function hold (tx: Transaction, id: string): Promise<Project> {
  const project = await tx.maybeOne(sql.type(Project)`select ${projectColumns} from projects where id = ${id} and is_active for update`)
  if (project === null) throw new NotFound('There is no such project.')
  return project
}

const taken = (name: string, cause?: unknown) => new Conflict(`The owner has a project "${name}" already. Take another name.`, { cause })

async function named (name: string, statement: Promise<Project>): Promise<Project> {
  try {
    return await statement
  } catch (error) {
    throw error instanceof Conflict ? taken(name, error) : error
  }
}
