// The examples of plugins/README.md, written out as they stand there and run.

import assert from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { signIn } from '../support/client.ts'
import { createDatabase } from '../support/database.ts'
import { startHost, temporaryFolder } from '../support/host.ts'
import { until } from '../support/until.ts'

const readme = join(import.meta.dirname, '../../plugins/README.md')
/** A fence with a path behind its language is a file. */
const fence = /^```\w+ (\S+\/\S+)\n(.*?)^```$/gms

test('the plugins of plugins/README.md work when their files are dropped into a folder', async (t) => {
  const folder = await temporaryFolder(t)
  const files = [...(await readFile(readme, 'utf8')).matchAll(fence)]
  assert.ok(files.length >= 6, 'the README shows whole plugins')
  for (const [, path = '', content = ''] of files) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), content)
  }
  const own = join(import.meta.dirname, '../../plugins')
  const host = startHost(t, {
    DATABASE_URL: await createDatabase(t, { migrated: 'plugins' }), PLATFORM_DATA_PATH: await temporaryFolder(t),
    PLATFORM_ADMIN_PASSWORD: 'correct horse battery', PLATFORM_PLUGINS_PATH: `${own}:${folder}`
  })
  const { url } = await host.ready()

  assert.equal((await fetch(`${url}/api/hello/ping`)).status, 200)
  assert.equal((await fetch(`${url}/api/hello`)).status, 401)
  assert.match(await (await fetch(`${url}/api/clock`)).text(), /"now":"\d{4}-/)
  const admin = await signIn(url, 'admin', 'correct horse battery')
  assert.equal((await admin.post('/api/hello', { name: 'Ada' })).status, 201)
  assert.equal((await admin.post('/api/hello', { name: '' })).status, 422)
  const list = await (await admin.get('/api/hello')).json() as { name: string }[]
  assert.deepEqual(list.map(({ name }) => name), ['Ada'])

  assert.equal((await fetch(`${url}/api/parcel`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ to: 'Ada', weight: 2 })
  })).status, 202)
  await until(async () => await (await fetch(`${url}/api/parcel`)).text() === '{"told":1}')

  host.signal('SIGTERM')
  assert.equal(await host.ended, 0, host.output())
})
