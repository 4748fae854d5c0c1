// Finds the name and e-mail address of an active user, for plugins that send messages.

import { sql, z } from '../../contract/index.ts'
import type { Access, Contact, Postgres } from '../../contract/index.ts'

const Row = z.object({ id: z.uuid(), name: z.string(), displayName: z.string().nullable(), email: z.string() }) satisfies z.ZodType<Contact>

export const createContact = (postgres: Postgres): Access['contact'] => async userId => await postgres.maybeOne(sql.type(Row)`
  select id, name, display_name as "displayName", email from public.users where id = ${userId} and is_active
`) ?? undefined
