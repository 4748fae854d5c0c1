// Checks whether a user may see a project now: when a notification about it is created, and again when a mail about it
// is sent.

import { sql, z, type Access, type Postgres } from 'bulkhead'

const Row = z.object({ ownerId: z.uuid(), visibility: z.string() })

export type MaySee = (userId: string, projectId: string) => Promise<boolean>

/**
 * Uses the same rule as the project's own routes: a project is visible to its owner, to users who may read it by role
 * or delegation, and to all users when it is not private.
 */
export function createMaySee ({ postgres, access }: { postgres: Postgres, access: Access }): MaySee {
  return async (userId, projectId) => {
    const project = await postgres.maybeOne(sql.type(Row)`
      select owner_id as "ownerId", visibility from public.projects where id = ${projectId} and is_active
    `)
    if (project === null) return false
    return project.ownerId === userId || project.visibility !== 'private' || access.can(userId, 'project:read', projectId)
  }
}
