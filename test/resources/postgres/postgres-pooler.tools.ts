// PgBouncer between the host and PostgreSQL: transaction mode is refused, session mode works.

import assert from 'node:assert/strict'
import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { sql, z } from '../../../core/contract/index.ts'
import { openPostgres } from '../../../core/resources/postgres/postgres-resource.ts'
import { openQueues } from '../../../core/tasks/queue/pg-boss-queues.ts'
import { createDatabase } from '../../support/database.ts'
import { findProgram } from '../../support/debian-program.ts'
import { temporaryFolder } from '../../support/host.ts'
import { createLog, openParts } from '../../support/part.ts'
import { postgresSettings } from '../../support/postgres.ts'
import { freePort, startServer } from '../../support/process.ts'
import { undo } from '../../support/undo.ts'
import { until } from '../../support/until.ts'

async function startPooler (t: TestContext, options: string): Promise<string> {
  const url = new URL(await createDatabase(t))
  const folder = await temporaryFolder(t)
  await chmod(folder, 0o755)
  const port = await freePort()
  await writeFile(join(folder, 'users.txt'), `"${url.username}" "${url.password}"\n`, { mode: 0o644 })
  await writeFile(join(folder, 'pgbouncer.ini'), `[databases]
* = host=${url.hostname} port=${url.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${folder}/users.txt
${options}
`, { mode: 0o644 })
  const { command, env } = await findProgram({ names: ['pgbouncer'], package: 'pgbouncer', path: 'usr/sbin/pgbouncer', needs: 'PgBouncer' })
  const user = process.getuid?.() === 0 ? ['-u', 'nobody'] : []
  const server = await startServer(command, [...user, join(folder, 'pgbouncer.ini')], { ready: /process up/, env })
  undo(t, () => server.stop())
  url.port = `${port}`
  return url.href
}

const open = async (t: TestContext, url: string, entries: object[] = []) => {
  const resource = await openPostgres({ ...postgresSettings, url, otherConnections: 4 }, openParts({ log: createLog(entries) }))
  undo(t, () => resource.close())
  return resource
}

for (const mode of ['transaction', 'statement']) {
  test(`${mode} mode is refused with a sentence that names the pooler and what to do`, async t => {
    const url = await startPooler(t, `pool_mode = ${mode}\nignore_startup_parameters = options`)
    const refused = /The connection pooler at 127\.0\.0\.1:\d+\/\w+ \(such as PgBouncer\) shares sessions.*Set pool_mode = session/
    await assert.rejects(open(t, url), refused)
  })
}

test('a pooler that refuses the session options is named, with the line for its configuration', async t => {
  const url = await startPooler(t, 'pool_mode = session')
  await assert.rejects(open(t, url), /connection pooler at .* refuses the session options.*ignore_startup_parameters = options/)
})

test('in session mode sessions have the options of the host, and notifications arrive', async t => {
  const entries: { message?: string }[] = []
  const { value } = await open(t, await startPooler(t, 'pool_mode = session\nignore_startup_parameters = options'), entries)
  const Options = z.object({ path: z.string(), zone: z.string(), timeout: z.string() })
  const find = sql.type(Options)`
    SELECT current_setting('search_path') AS path, current_setting('TimeZone') AS zone, current_setting('statement_timeout') AS timeout
  `
  assert.deepEqual(await value.host.one(find), { path: 'pg_catalog,pg_temp', zone: 'UTC', timeout: '30s' })
  assert.equal((await value.scoped('notes').one(find)).path, 'public')
  const queues = await openQueues({ connections: value.forTasks, maxConnections: 2, historyHours: 1 }, openParts())
  undo(t, () => queues.close())
  await queues.ensure('notes/one', 'standard')
  const heard: unknown[] = []
  queues.onJob(queue => heard.push(queue))
  await queues.send('notes/one', { retryLimit: 0, expireMs: 1_000 })
  await until(() => heard.includes('notes/one'))
  assert.deepEqual(entries.filter(({ message }) => message?.includes('sessions at a time')), [])
})

test('a pooler with too few sessions for a replica is logged at the start', async t => {
  const entries: { message?: string }[] = []
  await open(t, await startPooler(t, 'pool_mode = session\nignore_startup_parameters = options\ndefault_pool_size = 3'), entries)
  assert.ok(entries.some(({ message }) => /gives this replica 3 sessions at a time, and it may use 8/.test(message ?? '')), JSON.stringify(entries))
})
