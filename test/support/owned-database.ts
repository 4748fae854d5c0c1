// A database as an operator sets one up: it belongs to an ordinary role, who makes everything in it.

import { randomBytes } from 'node:crypto'
import type { TestContext } from 'node:test'
import pg from 'pg'
import { createDatabase } from './database.ts'
import { undo } from './undo.ts'

/** Creates an empty database. `client` is a session of the role that owns it. */
export async function createOwnedDatabase (t: TestContext): Promise<{ url: string, client: pg.Client }> {
  const own = new URL(await createDatabase(t))
  const operator = new pg.Client(own.href)
  await operator.connect()
  const [role, password] = [`host_${randomBytes(6).toString('hex')}`, 'secret']
  await operator.query(`create role ${role} login password '${password}'`)
  await operator.query(`alter database ${own.pathname.slice(1)} owner to ${role}`)
  await operator.query(`alter schema public owner to ${role}`)
  undo(t, async () => {
    await operator.query(`drop owned by ${role} cascade`)
    await operator.query(`alter database ${own.pathname.slice(1)} owner to current_user`)
    await operator.query(`drop role ${role}`)
    await operator.end()
  })
  own.username = role
  own.password = password
  const client = new pg.Client(own.href)
  await client.connect()
  undo(t, () => client.end())
  return { url: own.href, client }
}
