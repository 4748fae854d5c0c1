// A plugin and the database: what it leaves in its sessions, how many of them it gets, and where tables are found whatever the operator has set.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { test, type TestContext } from 'node:test'
import { signIn } from '../support/client.ts'
import { createDatabase } from '../support/database.ts'
import { startHost, temporaryFolder } from '../support/host.ts'
import { writePlugin } from '../support/plugin.ts'
import { undo } from '../support/undo.ts'
import { until } from '../support/until.ts'

const password = 'correct horse battery'
const plugins = join(import.meta.dirname, '../../plugins')
const environment = (database: string, folder: string, data: string): Record<string, string> => ({
  DATABASE_URL: database, PLATFORM_DATA_PATH: data, PLATFORM_PLUGINS_PATH: `${plugins}:${folder}`, PLATFORM_ADMIN_PASSWORD: password
})

const greedy = `
import { definePlugin, sql } from 'bulkhead'
export default definePlugin({
  start ({ routes, postgres }) {
    const open = { public: 'a test asks' }
    routes.get('/leak', open, async () => {
      await postgres.query(sql.unsafe\`create temporary table if not exists users (id int)\`)
      await postgres.query(sql.unsafe\`create temporary table if not exists auth_sessions (id int)\`)
      await postgres.query(sql.unsafe\`select set_config('search_path', 'nowhere', false)\`)
      await postgres.query(sql.unsafe\`select pg_advisory_lock_shared(1), pg_sleep(0.05)\`)
    })
    routes.get('/slow', open, () => postgres.transaction(async tx => { await tx.query(sql.unsafe\`select pg_sleep(8)\`) }))
  }
})
`
const other = `
import { definePlugin, sql, z } from 'bulkhead'
export default definePlugin({
  start ({ routes, postgres, tasks }) {
    routes.get('/', { public: 'a test asks' }, () => postgres.oneFirst(sql.type(z.object({ count: z.int() }))\`select count(*) from users\`))
    tasks.queue('work', { input: z.object({}) }, ({ tx }) => tx.query(sql.unsafe\`insert into other.done (at) values (now())\`))
    routes.post('/work', { public: 'a test asks' }, () => tasks.send('work', {}))
    routes.get('/done', { public: 'a test asks' }, () => postgres.oneFirst(sql.type(z.object({ count: z.int() }))\`select count(*) from other.done\`))
  }
})
`

/** A folder of plugins with these. */
async function writePlugins (t: TestContext): Promise<string> {
  const folder = await temporaryFolder(t)
  await writePlugin(folder, 'greedy', { resources: ['postgres'] }, greedy)
  await writePlugin(folder, 'other', { resources: ['postgres'] }, other)
  await mkdir(join(folder, 'other/migrations'))
  await writeFile(join(folder, 'other/migrations/0001_done.sql'), 'create table other.done (at timestamptz not null);\n')
  return folder
}

test('a plugin with leaking sessions and 30 slow transactions keeps no other from the database', async t => {
  const host = startHost(t, environment(await createDatabase(t, { migrated: 'plugins' }), await writePlugins(t), await temporaryFolder(t)))
  const { url, probesUrl } = await host.ready()
  const status = async (path: string): Promise<number> => (await fetch(`${url}${path}`)).status
  const signsIn = async (): Promise<void> => {
    const admin = await signIn(url, 'admin', password)
    assert.equal((await admin.get('/api/auth/me')).status, 200)
    assert.equal((await admin.get('/api/notes')).status, 200)
  }
  await Promise.all(Array.from({ length: 30 }, () => status('/api/greedy/leak')))
  for (let times = 0; times < 3; times++) await Promise.all([signsIn(), signsIn(), status('/api/other').then(code => assert.equal(code, 200))])

  const slow = Array.from({ length: 30 }, () => fetch(`${url}/api/greedy/slow`))
  // Those without a place in the share are refused within the time to wait for one, which is when all of it is in use.
  let finished = 0
  const refused = await Promise.any(slow.map(async asked => {
    const answer = await asked
    if (answer.status === 503) return answer
    finished++
    throw new Error(`it answered ${answer.status}`)
  }))
  assert.equal(refused.headers.get('retry-after'), '2')
  await Promise.all([signsIn(), signsIn(), status('/api/other').then(code => assert.equal(code, 200))])
  assert.equal((await fetch(`${probesUrl}/ready`)).status, 200)
  assert.equal(finished, 0, 'all of this was answered while the transactions went on')
  const line = await host.line(({ msg, plugin }) => msg === 'a request was refused' && plugin === 'greedy')
  assert.match(JSON.stringify(line.err), /its share/)
  await Promise.allSettled(slow)
})

/** As an operator sets it up: an ordinary role owns the database, and the defaults of both are as unhelpful as can be. */
async function openOddDatabase (t: TestContext): Promise<{ url: URL, role: string, operator: pg.Client }> {
  const url = new URL(await createDatabase(t))
  const operator = new pg.Client(url.href)
  await operator.connect()
  const role = `r${randomBytes(6).toString('hex')}`
  const database = url.pathname.slice(1)
  await operator.query(`create role ${role} login password 'secret'`)
  await operator.query(`alter database ${database} owner to ${role}`)
  undo(t, async () => {
    await operator.query(`drop owned by ${role} cascade`)
    await operator.query(`alter database ${database} owner to current_user`)
    await operator.query(`drop role ${role}`)
    await operator.end()
  })
  await operator.query(`alter database ${database} set search_path = '"$user"'`)
  for (const setting of [
    'lock_timeout = 1', 'statement_timeout = 1', 'idle_session_timeout = 50', 'default_transaction_read_only = on', 'standard_conforming_strings = off',
    'default_transaction_isolation = serializable', 'DateStyle = \'German\'', 'array_nulls = off', 'transform_null_equals = on'
  ]) await operator.query(`alter role ${role} in database ${database} set ${setting}`)
  // The schema that "$user" means, with a table that looks like one of the core's.
  await operator.query(`create schema ${role} authorization ${role}`)
  for (const table of ['users', 'auth_sessions', 'roles', 'job', 'migration']) await operator.query(`create table ${role}.${table} (id int)`)
  await operator.query(`grant all on all tables in schema ${role} to ${role}`)
  Object.assign(url, { username: role, password: 'secret' })
  url.searchParams.set('options', `-c search_path=${role}`)
  return { url, role, operator }
}

test('a fresh start finds its tables whatever the role, the database and the URL have set', async t => {
  const { url: database, operator } = await openOddDatabase(t)
  const [folder, data] = [await writePlugins(t), await temporaryFolder(t)]
  for (const start of ['first', 'second']) {
    const host = startHost(t, environment(database.href, folder, data))
    const { url } = await host.ready()
    const admin = await signIn(url, 'admin', password)
    const notes = await admin.get('/api/notes')
    assert.equal(notes.status, 200, host.output())
    assert.equal(await (await fetch(`${url}/api/other`)).text(), '1')
    assert.equal((await fetch(`${url}/api/other/work`, { method: 'POST' })).status, 200, host.output())
    await until(async () => await (await fetch(`${url}/api/other/done`)).text() === (start === 'first' ? '1' : '2'))
    host.signal('SIGTERM')
    assert.equal(await host.ended, 0, host.output())
  }
  const { rows } = await operator.query<{ count: string }>('select count(*) from public.users')
  assert.equal(rows[0]?.count, '1')
})

test('a plugin whose id is the database role\'s name is refused at start with what to do', async t => {
  const { url: database, role } = await openOddDatabase(t)
  const folder = await temporaryFolder(t)
  await writePlugin(folder, role, {}, 'export default { start () {} }')
  const host = startHost(t, environment(database.href, folder, await temporaryFolder(t)))
  assert.equal(await host.ended, 4, host.output())
  assert.match(host.output(), new RegExp(`The id \\\\?"${role}\\\\?" is the name of the database role`))
  assert.match(host.output(), /Choose another id, or give DATABASE_URL another role/)
})
