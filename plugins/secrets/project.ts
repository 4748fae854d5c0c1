// Finds the project that owns secrets; secrets without a project belong to the whole platform.

import { NotFound, sql, z, type Postgres } from 'bulkhead'

const Project = z.object({ id: z.uuid(), name: z.string(), ownerId: z.uuid() })
export type Project = z.output<typeof Project>

/** Finds a project. Rejects with `NotFound` for an unknown or deleted project. */
export async function findProject (postgres: Postgres, id: string): Promise<Project> {
  const project = await postgres.maybeOne(sql.type(Project)`select id, name, owner_id as "ownerId" from public.projects where id = ${id} and is_active`)
  if (project === null) throw new NotFound('There is no such project.')
  return project
}
