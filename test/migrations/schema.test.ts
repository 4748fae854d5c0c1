// The core schema is what was agreed, to the last column, and every step of it can be taken back.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import pg from 'pg'
import { createMigrations, type Migrations } from '../../core/resources/migrations/migrations.ts'
import { createDatabase } from '../support/database.ts'
import { clock, createLog } from '../support/part.ts'
import { parts, readCatalogue } from './catalogue.ts'

const folder = join(import.meta.dirname, '../../migrations')

const createCore = (url: string): Migrations => createMigrations({ url, owner: 'core', schema: 'public', folder, log: createLog(), clock })

const agreed = (part: string): string[] =>
  readFileSync(join(import.meta.dirname, `schema/${part}.tsv`), 'utf8').split('\n').filter(line => line !== '')

test('the migrations make the agreed schema: nothing missing, nothing else', async t => {
  const url = await createDatabase(t)
  await createCore(url).up()
  const catalogue = await readCatalogue(url)
  for (const part of parts) {
    assert.deepEqual(catalogue[part], part === 'columns' ? agreed(part) : agreed(part).sort(), `${part} differ from schema/${part}.tsv`)
  }
  assert.deepEqual(catalogue.others, ['function\tset_updated_at'])
})

test('every migration goes down to where it came from, and up again to the same schema', async t => {
  const url = await createDatabase(t)
  const core = createCore(url)
  await core.up()
  const names = (await core.status()).applied.map(({ name }) => name)
  const full = await readCatalogue(url)
  const empty = Object.fromEntries(Object.keys(full).map(part => [part, []]))

  const waypoints = [full]
  for (const name of names.toReversed()) {
    assert.deepEqual(await core.down(1), [name])
    waypoints.unshift(await readCatalogue(url))
  }
  assert.deepEqual(waypoints[0], empty)
  for (const depth of [1, 9, names.length]) {
    await core.up()
    assert.deepEqual(await readCatalogue(url), full)
    await core.down(depth)
    assert.deepEqual(await readCatalogue(url), waypoints[names.length - depth])
  }
})

test('a migration goes down and up on a database that is in use', async t => {
  const url = await createDatabase(t)
  const core = createCore(url)
  await core.up()
  await withClient(url, client => client.query(`
    with admin as (insert into users (name, email, password_hash) values ('admin', 'a@example.org', '-') returning id),
      role as (insert into roles (name) values ('admin') returning id),
      permission as (insert into permissions (name, resource, action) values ('a:b', 'a', 'b') returning id),
      project as (insert into projects (owner_id, name) select id, 'p' from admin returning id),
      request as (insert into merge_requests (project_id, number, author_id, source_branch, target_branch, title)
        select project.id, 1, admin.id, 'a', 'b', 'c' from project, admin returning id),
      comment as (insert into comments (project_id, mr_id, author_id, body)
        select project.id, request.id, admin.id, 'd' from project, request, admin),
      grants as (insert into user_roles (user_id, role_id, project_id)
        select admin.id, role.id, project_id from admin, role, (select id from project union all select null::uuid) p (project_id)),
      token as (insert into api_tokens (user_id, name, token_hash, project_id) select admin.id, 't', 'h', project.id from admin, project)
    insert into delegations (delegator_id, delegate_id, permission_id, project_id)
    select admin.id, admin.id, permission.id, project.id from admin, permission, project`))

  await core.down(13)
  await core.up()
  const { rows } = await withClient(url, client => client.query('select project_id from user_roles'))
  assert.deepEqual(rows, [{ project_id: null }], 'the grant in every project stays')
})

test('a grant in every project is one row, as a grant in one project is', async t => {
  const url = await createDatabase(t, { migrated: 'core' })
  await withClient(url, async client => {
    await client.query(`
      insert into users (name, email, password_hash) values ('a', 'a@example.org', '-');
      insert into roles (name) values ('r');
      insert into permissions (name, resource, action) values ('a:b', 'a', 'b')`)
    for (const grant of [
      'insert into user_roles (user_id, role_id) select u.id, r.id from users u, roles r',
      'insert into delegations (delegator_id, delegate_id, permission_id) select u.id, u.id, p.id from users u, permissions p'
    ]) {
      await client.query(grant)
      await assert.rejects(client.query(grant), { code: '23505' })
    }
  })
})

test('a change stamps updated_at', async t => {
  const url = await createDatabase(t, { migrated: 'core' })
  await withClient(url, async client => {
    await client.query(`insert into users (name, email, password_hash, updated_at) values ('a', 'a@example.org', '-', '2000-01-01')`)
    const { rows } = await client.query(`update users set display_name = 'A' returning updated_at > now() - interval '1 hour' as stamped`)
    assert.deepEqual(rows, [{ stamped: true }])
  })
})

async function withClient<T> (url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try { return await work(client) } finally { await client.end() }
}
