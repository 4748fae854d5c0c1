// A host of an older version on a database that a newer one has migrated: it runs on, unless a migration says that it cannot.

import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { connect } from '../resources/migrations/migration-folder.ts'
import { createDatabase } from '../support/database.ts'
import { startHost, temporaryFolder } from '../support/host.ts'
import { writePlugin } from '../support/plugin.ts'
import { until } from '../support/until.ts'

test('an older host and plugin start and serve on a newer journal, and stop serving when it breaks them', async t => {
  const folder = await temporaryFolder(t)
  await writePlugin(folder, 'invoices', { resources: ['postgres'] }, "export default { start ({ routes }) { routes.get('/', { public: 'a test' }, () => 'here') } }")
  await mkdir(join(folder, 'invoices', 'migrations'))
  await writeFile(join(folder, 'invoices', 'migrations', '001_bill.sql'), 'create table invoices.bill (id int)')
  const url = await createDatabase(t, { migrated: 'core' })
  const client = await connect(t, url)
  const env = { DATABASE_URL: url, PLATFORM_DATA_PATH: await temporaryFolder(t), PLATFORM_PLUGINS_PATH: folder }
  await client.query('alter table bulkhead.migration add column if not exists breaks text')
  const apply = (owner: string, name: string) => client.query('insert into bulkhead.migration (owner, name, sha256) values ($1, $2, $3)', [owner, name, 'x'])
  const breakBefore = (owner: string, version: string | null) => client.query('update bulkhead.migration set breaks = $2 where owner = $1 and sha256 = $3', [owner, version, 'x'])
  await apply('core', '29990101_001_later')

  const host = startHost(t, env)
  const { url: api, probesUrl } = await host.ready()
  const ask = async (path: string, base = probesUrl) => {
    const response = await fetch(new URL(path, base))
    return { status: response.status, text: await response.text() }
  }
  await until(async () => /"core" has 1 of a newer version, up to 29990101_001_later/.test((await ask('/health')).text))
  assert.equal((await ask('/health')).status, 200)

  await apply('invoices', '002_later')
  await until(async () => /"invoices" has 1 of a newer version/.test((await ask('/health')).text))
  assert.equal((await ask('/api/invoices', api)).status, 200)

  await breakBefore('invoices', '2.0.0')
  await until(async () => (await ask('/api/invoices', api)).status === 503)
  await host.line(({ msg }) => msg.includes('migration 002_later of "invoices", with which versions before 2.0.0 cannot work, and this is 1.0.0'))
  assert.equal((await ask('/ready')).status, 200, 'the plugin is not required')

  await breakBefore('core', '99.0.0')
  await until(async () => (await ask('/ready')).status === 500)
  assert.match((await ask('/ready')).text, /29990101_001_later of "core", with which versions before 99\.0\.0 cannot work.*Start version 99\.0\.0 or newer\./)
  const second = startHost(t, { ...env, PLATFORM_DATA_PATH: await temporaryFolder(t) })
  assert.equal(await second.ended, 3, second.output())
  assert.match(second.output(), /with which versions before 99\.0\.0 cannot work/)

  await breakBefore('core', null)
  await breakBefore('invoices', null)
  await until(async () => (await ask('/ready')).status === 200)
  await until(async () => (await ask('/api/invoices', api)).status === 200)
  host.signal('SIGTERM')
  assert.equal(await host.ended, 0, host.output())
})
