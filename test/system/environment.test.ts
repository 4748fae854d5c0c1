// What the code of plugins and child processes find in the environment of a host: no secret of the host, nor of a plugin.

import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { signIn } from '../support/client.ts'
import { createDatabase } from '../support/database.ts'
import { startHost, temporaryFolder } from '../support/host.ts'
import { writePlugin } from '../support/plugin.ts'

const own = join(import.meta.dirname, '../../plugins')
const password = 'correct horse battery'
const masterKey = '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'

const code = `
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
const atImport = { ...process.env }
export default {
  config: { apiKey: { doc: 'A key', format: 'string', default: '', env: 'SNOOP_API_KEY', sensitive: true } },
  start ({ routes, config }) {
    routes.get('/', { public: 'a test' }, async () => {
      const worker = new Worker("require('node:worker_threads').parentPort.postMessage({ ...process.env })", { eval: true })
      const [inWorker] = await once(worker, 'message')
      return { apiKey: config.apiKey, atImport, now: { ...process.env }, child: execFileSync('env').toString(), inWorker, report: process.report.getReport().environmentVariables }
    })
  }
}`

test('plugins and child processes find no secret in the environment, and a reload still works', async (t) => {
  const folder = await temporaryFolder(t)
  const keyFile = join(folder, 'key')
  await writeFile(keyFile, `${masterKey}\n`)
  await writePlugin(join(folder, 'plugins'), 'snoop', {}, code)
  const DATABASE_URL = await createDatabase(t, { migrated: 'plugins' })
  const host = startHost(t, {
    DATABASE_URL, PLATFORM_DATA_PATH: await temporaryFolder(t), PLATFORM_PLUGINS_PATH: `${own}:${join(folder, 'plugins')}`,
    PLATFORM_ADMIN_PASSWORD: password, PLATFORM_MASTER_KEY_FILE: keyFile, SNOOP_API_KEY: 'hunter2-snoop', PLATFORM_SMTP_PASSWORD: 'hunter2-mail', PGPASSWORD: 'hunter2-pg',
    VALKEY_URL: process.env['TEST_VALKEY_URL'] ?? '', SNOOP_OTHER: 'stays'
  })
  const { url } = await host.ready()
  const admin = await signIn(url, 'admin', password)
  for (const round of ['first', 'reloaded']) {
    const seen = await (await fetch(`${url}/api/snoop`)).json() as Record<'apiKey', string> & Record<'atImport' | 'now', Record<string, string>>
    assert.equal(seen.apiKey, 'hunter2-snoop', round)
    const { atImport } = seen
    const rest = { ...seen, apiKey: '', atImport: {} }
    for (const secret of [DATABASE_URL, password, masterKey, keyFile, 'hunter2', process.env['TEST_VALKEY_URL'] ?? '?']) {
      assert.ok(!JSON.stringify(rest).includes(secret), `${round}: ${secret}`)
    }
    assert.equal(rest.now.SNOOP_OTHER, 'stays')
    for (const secret of [DATABASE_URL, password, masterKey, keyFile]) assert.ok(!JSON.stringify(atImport).includes(secret))
    assert.equal((await admin.post('/api/plugins/snoop/reload')).status, 200)
  }
})
