// Whether someone may see a project now: asked when they are told of it, and again when a mail about it leaves.

import { sql, z, type Access, type Postgres } from 'bulkhead'

const Row = z.object({ ownerId: z.uuid(), visibility: z.string() })

export type MaySee = (userId: string, projectId: string) => Promise<boolean>

/** As the project's own pages have it: its owner, whoever may read it by role or delegation, everyone where it is not private. */
export function createMaySee ({ postgres, access }: { postgres: Postgres, access: Access }): MaySee {
  return async (userId, projectId) => {
    const project = await postgres.maybeOne(sql.type(Row)`
      select owner_id as "ownerId", visibility from public.projects where id = ${projectId} and is_active
    `)
    if (project === null) return false
    return project.ownerId === userId || project.visibility !== 'private' || access.can(userId, 'project:read', projectId)
  }
}
