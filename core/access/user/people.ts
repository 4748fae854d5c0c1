// Finds the names of users by their ids, for plugins that show what users did.

import { sql, z } from '../../contract/index.ts'
import type { Access, Person, Postgres } from '../../contract/index.ts'

const Row = z.object({ id: z.uuid(), name: z.string(), displayName: z.string().nullable(), isActive: z.boolean() }) satisfies z.ZodType<Person>

export const createPeople = (postgres: Postgres): Access['people'] => async ids => {
  const wanted = [...new Set(ids)]
  if (wanted.length === 0) return new Map()
  const rows = await postgres.any(sql.type(Row)`
    select id, name, display_name as "displayName", is_active as "isActive" from public.users where id = any(${sql.array(wanted, 'uuid')})
  `)
  return new Map(rows.map(row => [row.id, row]))
}
