// A plugin with routes in projects, for tests that ask a real host who may do what: boats that belong to a project.

import { mkdir, writeFile } from 'node:fs/promises'
import pg from 'pg'
import type { TestContext } from 'node:test'
import { writePlugin } from '../support/plugin.ts'
import { undo } from '../support/undo.ts'

const manifest = { mounts: ['harbour'], resources: ['postgres', 'access'] }

const code = `
import { definePlugin, sql, z } from 'bulkhead'

const Boat = z.object({ id: z.uuid(), projectId: z.uuid(), name: z.string() })
const params = z.object({ projectId: z.uuid() })
const body = z.object({ name: z.string().min(1).max(100) })

export default definePlugin({
  permissions: {
    'boat:see': { description: 'See boats', roles: ['viewer', 'developer'] },
    'boat:sail': { description: 'Put boats to sea', roles: ['developer'] }
  },
  start ({ routes, postgres, access }) {
    const add = (ctx, projectId, name) => postgres.transaction(async tx => {
      const boat = await tx.one(sql.type(Boat)\`
        insert into harbour.boat (project_id, name) values (\${projectId}, \${name}) returning id, project_id as "projectId", name
      \`)
      await access.audit.record(tx, { actor: ctx.user, action: 'boat.sail', resource: 'boat', resourceId: boat.id, projectId, origin: { address: ctx.ip } })
      return boat
    })

    routes.get('/ping', { public: 'answers a probe; no data' }, () => ({ answer: 'pong' }))

    routes.get('/in/:projectId', { permission: 'boat:see', project: 'params.projectId', params, returns: z.array(Boat) }, async ({ input }) =>
      [...await postgres.any(sql.type(Boat)\`select id, project_id as "projectId", name from harbour.boat where project_id = \${input.params.projectId}\`)])

    routes.post('/in/:projectId', { permission: 'boat:sail', project: 'params.projectId', params, body, returns: Boat, status: 201 },
      (ctx) => add(ctx, ctx.input.params.projectId, ctx.input.body.name))

    routes.post('/', { permission: 'boat:sail', project: 'body.projectId', body: body.extend({ projectId: z.uuid() }), returns: Boat, status: 201 },
      (ctx) => add(ctx, ctx.input.body.projectId, ctx.input.body.name))

    routes.get('/', { permission: 'boat:see', project: 'query.projectId', query: params, returns: z.array(Boat) }, () => [])

    routes.delete('/', { permission: 'boat:sail' }, async () => { await postgres.query(sql.unsafe\`delete from harbour.boat\`) })

    routes.get('/may/:projectId', { signedIn: 'tells callers about themselves', params, returns: z.object({ sail: z.boolean() }) },
      async ({ user, input }) => ({ sail: await access.can(user, 'boat:sail', input.params.projectId) }))
  }
})
`

const migration = `
create table harbour.boat (
  id         uuid primary key default gen_random_uuid(),
  project_id uuid not null references projects on delete cascade,
  name       text not null
);
`

/** Into a folder of plugins. */
export async function writeHarbour (folder: string): Promise<void> {
  await writePlugin(folder, 'harbour', manifest, code)
  await mkdir(`${folder}/harbour/migrations`)
  await writeFile(`${folder}/harbour/migrations/0001_boat.sql`, migration)
  await writeFile(`${folder}/harbour/migrations/0001_boat.down.sql`, 'drop table harbour.boat;\n')
}

export interface Operator {
  rows (query: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>
  /** One of the first admin's. */
  addProject (name: string): Promise<string>
}

/** Asks the database beside the host, as with psql. */
export async function openOperator (t: TestContext, url: string): Promise<Operator> {
  const client = new pg.Client(url)
  await client.connect()
  undo(t, () => client.end())
  // One after the other: there is one connection.
  let last: Promise<unknown> = Promise.resolve()
  const rows: Operator['rows'] = async (query, values = []) => {
    const turn = last.then(() => client.query<Record<string, unknown>>(query, [...values]))
    last = turn.catch(() => undefined)
    return (await turn).rows
  }
  return {
    rows,
    async addProject (name) {
      const [row] = await rows('insert into projects (owner_id, name) select id, $1 from users where name = \'admin\' returning id', [name])
      return String(row?.id)
    }
  }
}
