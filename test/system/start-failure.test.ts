// What an operator reads, and the exit code, when the host cannot start.

import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { createDatabase } from '../support/database.ts'
import { startHost, temporaryFolder } from '../support/host.ts'
import { writePlugin } from '../support/plugin.ts'
import { until } from '../support/until.ts'

/** A host that finds its database and fails or not by what else it is given. */
async function settingsOf (t: TestContext): Promise<Record<string, string>> {
  return { DATABASE_URL: await createDatabase(t), PLATFORM_DATA_PATH: await temporaryFolder(t) }
}

test('wrong settings: every problem in one message, exit 2, nothing opened', async (t) => {
  const host = startHost(t, { DATABASE_URL: 'mysql://x', DATABASE_POOL_MAX: '12abc', PLATFORM_LISTEN: 'nowhere', NODE_ENV: 'production' })
  assert.equal(await host.ended, 2)
  for (const name of ['DATABASE_URL', 'DATABASE_POOL_MAX', 'PLATFORM_LISTEN', 'VALKEY_URL', 'MINIO_ENDPOINT', 'PLATFORM_MASTER_KEY']) {
    assert.match(host.output(), new RegExp(name))
  }
})

test('a database that does not answer: named with what to do, exit 3', async (t) => {
  const host = startHost(t, {
    ...await settingsOf(t), DATABASE_URL: 'postgres://nobody:hidden@127.0.0.1:1/none', PLATFORM_RESOURCE_START_BUDGET_MS: '2000'
  })
  assert.equal(await host.ended, 3)
  assert.match(host.output(), /postgres/)
  assert.ok(!host.output().includes('hidden'), 'the password is not shown')
})

test('a port that is taken: named, exit 3, and what was opened is closed', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo
  const host = startHost(t, { ...await settingsOf(t), PLATFORM_LISTEN: `127.0.0.1:${port}` })
  assert.equal(await host.ended, 3)
  assert.match(host.output(), /PLATFORM_LISTEN/)
  assert.match(host.output(), /The first admin is "admin" with the password [a-z0-9]{24}/, 'what was made in the failed start is not lost')
})

test('a data folder that cannot be written: named, exit 3', async (t) => {
  const folder = await temporaryFolder(t)
  await writeFile(join(folder, 'file'), '')
  const host = startHost(t, { ...await settingsOf(t), PLATFORM_DATA_PATH: join(folder, 'file/data') })
  assert.equal(await host.ended, 3)
  assert.match(host.output(), /PLATFORM_DATA_PATH|data folder/)
})

test('another master key than the data was written under: exit 2, and the right one still works', async (t) => {
  const env = { ...await settingsOf(t), PLATFORM_MASTER_KEY: 'ab'.repeat(31) + 'cd' }
  const first = startHost(t, env)
  await first.ready()
  first.signal('SIGTERM')
  assert.equal(await first.ended, 0)

  const wrong = startHost(t, { ...env, PLATFORM_MASTER_KEY: 'ef'.repeat(31) + '01' })
  assert.equal(await wrong.ended, 2)
  assert.match(wrong.output(), /PLATFORM_MASTER_KEY/)

  const again = startHost(t, env)
  await again.ready()
  again.signal('SIGTERM')
  assert.equal(await again.ended, 0)
})

test('an invalid plugin that is required: every problem of every plugin in one message, exit 4', async (t) => {
  const folder = await temporaryFolder(t)
  await mkdir(join(folder, 'empty'))
  await writePlugin(folder, 'typo', { mount: ['typo'], readiness: 'required' }, 'export default { start () {} }')
  await writePlugin(folder, 'throws', {}, 'throw new Error("at import")')
  await writePlugin(folder, 'needy', { requires: { absent: '^1.0.0' } }, 'export default { start () {} }')
  const host = startHost(t, { ...await settingsOf(t), PLATFORM_PLUGINS_PATH: folder })
  assert.equal(await host.ended, 4)
  for (const said of [/empty/, /mounts/, /at import/, /absent/]) assert.match(host.output(), said)
})

test('a required plugin that fails to start ends the host with exit 5; a degraded one gets 503', async (t) => {
  const bad = 'export default { start () { throw null } }'
  const required = await temporaryFolder(t)
  await writePlugin(required, 'bad', { readiness: 'required' }, bad)
  const refused = startHost(t, { ...await settingsOf(t), PLATFORM_PLUGINS_PATH: required })
  assert.equal(await refused.ended, 5)
  assert.match(refused.output(), /bad/)

  const degraded = await temporaryFolder(t)
  await writePlugin(degraded, 'bad', {}, bad)
  await writePlugin(degraded, 'leans', { requires: { bad: '^1.0.0' } }, 'export default { start () {} }')
  await writePlugin(degraded, 'good', {}, "export default { start ({ routes }) { routes.get('/', { public: 'a test' }, () => 'pong') } }")
  await writePlugin(degraded, 'unguarded', {}, "export default { start ({ routes }) { routes.get('/', {}, () => 'open') } }")
  await writePlugin(degraded, 'undeclared', {}, "export default { start ({ routes }) { routes.get('/', { permission: 'thing:read' }, () => 'open') } }")
  const host = startHost(t, { ...await settingsOf(t), PLATFORM_PLUGINS_PATH: degraded })
  const { url } = await host.ready()
  const statusOf = async (path: string): Promise<number> => (await fetch(`${url}${path}`)).status
  assert.deepEqual(await Promise.all(['good', 'bad', 'leans', 'unguarded', 'undeclared'].map(id => statusOf(`/api/${id}`))), [200, 503, 503, 503, 503])
  assert.match(host.output(), /leans → bad/)
  host.signal('SIGTERM')
  assert.equal(await host.ended, 0, host.output())
})

/** The second statement cannot be read. */
const brokenMigration = 'create table entry (id int);\ncreate tabel broken (id int);\n'

async function writeLedger (folder: string, manifest: object): Promise<void> {
  await writePlugin(folder, 'ledger', { resources: ['postgres'], ...manifest }, "export default { start ({ routes }) { routes.get('/', { public: 'a test' }, () => 'pong') } }")
  await mkdir(join(folder, 'ledger/migrations'))
  await writeFile(join(folder, 'ledger/migrations/0001_entry.sql'), brokenMigration)
  await writeFile(join(folder, 'ledger/migrations/0001_entry.down.sql'), 'drop table entry;\n')
}

test('a syntax error in a required migration exits with 3, names the line and applies nothing', async (t) => {
  const folder = await temporaryFolder(t)
  await writeLedger(folder, { readiness: 'required' })
  const host = startHost(t, { ...await settingsOf(t), PLATFORM_PLUGINS_PATH: folder })
  assert.equal(await host.ended, 3)
  assert.match(host.output(), /0001_entry\.sql:2/)
})

test('a failed migration of a degraded plugin holds it and its dependents until it is fixed', async (t) => {
  const folder = await temporaryFolder(t)
  await writeLedger(folder, { readiness: 'degraded' })
  const other = (id: string, manifest: object): Promise<unknown> => writePlugin(folder, id, manifest, "export default { start ({ routes }) { routes.get('/', { public: 'a test' }, () => 'pong') } }")
  await other('good', {})
  await other('leans', { requires: { ledger: '*' }, resources: ['postgres'] })
  await mkdir(join(folder, 'leans/migrations'))
  await writeFile(join(folder, 'leans/migrations/0001_leaf.sql'), 'create table leaf as select id from ledger.entry;\n')
  const host = startHost(t, { ...await settingsOf(t), PLATFORM_PLUGINS_PATH: folder })
  const { url } = await host.ready()
  const statuses = async (): Promise<number[]> => Promise.all(['good', 'ledger', 'leans'].map(async id => (await fetch(`${url}/api/${id}`)).status))
  assert.deepEqual(await statuses(), [200, 503, 503])
  assert.match(host.output(), /ledger\\" is quarantined: .*0001_entry\.sql:2/)
  await writeFile(join(folder, 'ledger/migrations/0001_entry.sql'), brokenMigration.replace('tabel', 'table'))
  await until(async () => (await statuses()).every(status => status === 200))
  host.signal('SIGTERM')
  assert.equal(await host.ended, 0, host.output())
})
