// Finds users by their ids for plugins: names to show, and addresses to send messages to.

import { Contact, Person, sql } from '../../contract/index.ts'
import type { Access, Postgres } from '../../contract/index.ts'

export const createUserDirectory = (postgres: Postgres): Pick<Access, 'contact' | 'people'> => ({
  async contact (userId) {
    return await postgres.maybeOne(sql.type(Contact)`
      select id, name, display_name as "displayName", email from public.users where id = ${userId} and is_active
    `) ?? undefined
  },
  async people (ids) {
    const wanted = [...new Set(ids)]
    if (wanted.length === 0) return new Map()
    const rows = await postgres.any(sql.type(Person)`
      select id, name, display_name as "displayName", is_active as "isActive" from public.users where id = any(${sql.array(wanted, 'uuid')})
    `)
    return new Map(rows.map(row => [row.id, row]))
  }
})
