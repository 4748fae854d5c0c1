// Finds users by their ids for plugins: names to show, and addresses to send messages to.

import { sql, z } from '../../contract/index.ts'
import type { Access, Contact, Person, Postgres } from '../../contract/index.ts'

const ContactRow = z.object({ id: z.uuid(), name: z.string(), displayName: z.string().nullable(), email: z.string() }) satisfies z.ZodType<Contact>
const PersonRow = z.object({ id: z.uuid(), name: z.string(), displayName: z.string().nullable(), isActive: z.boolean() }) satisfies z.ZodType<Person>

export const createUserDirectory = (postgres: Postgres): Pick<Access, 'contact' | 'people'> => ({
  async contact (userId) {
    return await postgres.maybeOne(sql.type(ContactRow)`
      select id, name, display_name as "displayName", email from public.users where id = ${userId} and is_active
    `) ?? undefined
  },
  async people (ids) {
    const wanted = [...new Set(ids)]
    if (wanted.length === 0) return new Map()
    const rows = await postgres.any(sql.type(PersonRow)`
      select id, name, display_name as "displayName", is_active as "isActive" from public.users where id = any(${sql.array(wanted, 'uuid')})
    `)
    return new Map(rows.map(row => [row.id, row]))
  }
})
