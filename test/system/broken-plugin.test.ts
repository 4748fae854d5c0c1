// A fault of one plugin concerns this plugin alone: it is quarantined or held, at the start as at a reload, with the same words.

import assert from 'node:assert/strict'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { PluginStatus } from '../../core/contract/index.ts'
import { signIn } from '../support/client.ts'
import { createDatabase } from '../support/database.ts'
import { startHost, temporaryFolder } from '../support/host.ts'
import { writePlugin } from '../support/plugin.ts'
import { until } from '../support/until.ts'

const password = 'correct horse battery'
const own = join(import.meta.dirname, '../../plugins')
const pong = "export default { start ({ routes }) { routes.get('/', { public: 'a test' }, () => 'pong') } }"

/** Each breaks its own folder. */
const breaks: Record<string, (folder: string) => Promise<void>> = {
  'no-json': folder => writeFile(join(folder, 'package.json'), '{ "name": '),
  'utf-16': folder => writeFile(join(folder, 'package.json'), Buffer.from('\uFEFF{}', 'utf16le')),
  empty: async folder => { await rm(folder, { recursive: true }); await mkdir(folder) },
  'no-entry': folder => rm(join(folder, 'index.js')),
  'no-plugin': folder => writeFile(join(folder, 'index.js'), 'export default 7'),
  throws: folder => writeFile(join(folder, 'index.js'), 'throw new Error("out of ink")'),
  'other-host': folder => writePlugin(join(folder, '..'), 'other-host', { host: '^9.0.0' }, pong),
  'unknown-key': folder => writePlugin(join(folder, '..'), 'unknown-key', { colour: 'blue' }, pong)
}
const ids = Object.keys(breaks)

test('broken plugins that are degraded: the others serve, and start, reload and check say the same', async (t) => {
  const folder = await temporaryFolder(t)
  for (const id of [...ids, 'good']) await writePlugin(folder, id, {}, pong)
  for (const [id, breakIt] of Object.entries(breaks)) await breakIt(join(folder, id))
  await writePlugin(folder, 'unfit', { requires: { good: '^2.0.0' } }, pong)
  await writePlugin(folder, 'lonely', { requires: { nobody: '^1.0.0' } }, pong)
  const env = {
    DATABASE_URL: await createDatabase(t, { migrated: 'plugins' }), PLATFORM_DATA_PATH: await temporaryFolder(t), PLATFORM_ADMIN_PASSWORD: password,
    PLATFORM_PLUGINS_PATH: `${own}:${folder}`
  }

  const check = startHost(t, env, ['plugins', 'check'])
  assert.equal(await check.ended, 4)
  for (const id of ids) assert.match(check.output(), new RegExp(`^${id} .* would be quarantined:$`, 'm'))
  for (const id of ['unfit', 'lonely']) assert.match(check.output(), new RegExp(`^${id} 1.0.0 would be held:$`, 'm'))
  assert.doesNotMatch(check.output(), /would not start/)
  const one = startHost(t, env, ['plugins', 'check', 'good'])
  assert.deepEqual([await one.ended, one.output().trim()], [0, 'good 1.0.0 would be started'])

  const host = startHost(t, env)
  const { url } = await host.ready()
  assert.equal((await fetch(`${url}/api/good`)).status, 200)
  const admin = await signIn(url, 'admin', password)
  const status = async (id: string): Promise<PluginStatus> => await (await admin.get(`/api/plugins/${id}`)).json() as PluginStatus
  for (const id of ids) {
    let reason: string | null = null
    await until(async () => {
      const now = await status(id)
      if (now.state === 'quarantined') reason = now.reason
      return reason !== null
    })
    assert.equal((await fetch(`${url}/api/${id}`)).status, 503)
    const answer = await admin.post(`/api/plugins/${id}/reload`)
    const { detail } = await answer.json() as { detail: string }
    assert.deepEqual([answer.status, detail.split('\n').at(-1)], [409, String(reason).split('\n').at(-1)], id)
  }
  assert.deepEqual([(await status('unfit')).state, (await status('lonely')).state], ['held', 'held'])
  assert.match((await status('unfit')).reason ?? '', /requires "good" \^2\.0\.0, and 1\.0\.0 is here/)
  assert.match((await status('lonely')).reason ?? '', /nobody/)

  // A fixed plugin comes back by itself, and a plugin that comes later starts those that wait for it.
  for (const id of ids) await writePlugin(folder, id, {}, pong)
  await writePlugin(folder, 'nobody', {}, pong)
  assert.equal((await admin.post('/api/plugins/nobody/reload')).status, 200)
  for (const id of [...ids, 'lonely']) await until(async () => (await fetch(`${url}/api/${id}`)).status === 200)
})

test('a broken plugin that is required, or that a required one requires, stops the start', async (t) => {
  const folder = await temporaryFolder(t)
  await writePlugin(folder, 'core-part', { readiness: 'required', requires: { base: '^1.0.0' } }, pong)
  await writePlugin(folder, 'base', { colour: 'blue' }, pong)
  await writePlugin(folder, 'vital', { readiness: 'required' }, pong)
  await writeFile(join(folder, 'vital/package.json'), '{ "bulkhead": { "id": "vital", "readiness": "required", }')
  const env = { PLATFORM_DATA_PATH: await temporaryFolder(t), PLATFORM_PLUGINS_PATH: folder }
  const check = startHost(t, env, ['plugins', 'check'])
  assert.equal(await check.ended, 4)
  assert.match(check.output(), /The host would not start \(exit code 4\):\n/)
  for (const said of [/base\/package\.json: "colour" is not a key/, /vital\/package\.json: It is not JSON/]) assert.match(check.output(), said)
})
