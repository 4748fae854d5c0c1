// Whose secrets they are: a project's, or the whole platform's.

import { NotFound, sql, z, type Postgres } from 'bulkhead'

const Project = z.object({ id: z.uuid(), name: z.string(), ownerId: z.uuid() })
export type Project = z.output<typeof Project>

/** `NotFound` also for a project that was deleted. */
export async function findProject (postgres: Postgres, id: string): Promise<Project> {
  const project = await postgres.maybeOne(sql.type(Project)`select id, name, owner_id as "ownerId" from public.projects where id = ${id} and is_active`)
  if (project === null) throw new NotFound('There is no such project.')
  return project
}
