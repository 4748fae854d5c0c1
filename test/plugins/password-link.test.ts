// A one-time link for a new password on a real host: mailed by the plugin notify, and kept nowhere else.

import assert from 'node:assert/strict'
import { readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import pg from 'pg'
import { adminPassword } from '../access/fixture.ts'
import { signIn } from '../support/client.ts'
import { createDatabase } from '../support/database.ts'
import { startHost, temporaryFolder } from '../support/host.ts'
import { writePlugin } from '../support/plugin.ts'
import { startMailServer } from '../support/smtp-server.ts'
import { undo } from '../support/undo.ts'
import { post, serve } from './identity-fixture.ts'

const password = 'correct horse battery'
const chosen = 'chosen by the user'

test('a link goes to the mailbox of the user, and nothing else keeps it', async (t) => {
  const databaseUrl = await createDatabase(t, { migrated: 'plugins' })
  const database = new pg.Client(databaseUrl)
  await database.connect()
  undo(t, () => database.end())
  const mail = await startMailServer(t)
  const host = startHost(t, {
    DATABASE_URL: databaseUrl, PLATFORM_DATA_PATH: await temporaryFolder(t), PLATFORM_ADMIN_PASSWORD: password, PLATFORM_LOG_LEVEL: 'debug',
    PLATFORM_PLUGINS_PATH: join(import.meta.dirname, '../../plugins'), PLATFORM_MASTER_KEY: '0123456789abcdef'.repeat(4),
    VALKEY_URL: process.env['TEST_VALKEY_URL'] ?? '',
    PLATFORM_SMTP_HOST: '127.0.0.1', PLATFORM_SMTP_PORT: String(mail.port), PLATFORM_SMTP_FROM: 'platform@bulkhead.example',
    IDENTITY_PASSWORD_PAGE: 'https://platform.example.org/password'
  })
  const { url } = await host.ready()
  const admin = await signIn(url, 'admin', password)
  const { id } = await (await admin.post('/api/users', { name: 'ada', email: 'ada@example.org', password })).json() as { id: string }
  const ada = await signIn(url, 'ada', password)

  const sent = await admin.post(`/api/users/${id}/password-link`)
  assert.equal(sent.status, 201)
  assert.deepEqual(Object.keys(await sent.json() as object), ['expiresAt'], 'the one who sends it does not see it')
  const [letter] = mail.to('ada@example.org')
  const text = letter?.part('text/plain') ?? ''
  const token = /https:\/\/platform\.example\.org\/password#(plat_link_[0-9a-f]{64})/.exec(text)?.[1] ?? ''
  assert.ok(token, text)

  const tables = await database.query<{ name: string }>(
    'select format(\'%I.%I\', schemaname, tablename) as name from pg_tables where schemaname not in (\'pg_catalog\', \'information_schema\')')
  for (const { name } of tables.rows) {
    const found = await database.query(`select 1 from ${name} as held where held::text like '%' || $1 || '%'`, [token.slice(10)])
    assert.equal(found.rowCount, 0, name)
  }
  assert.equal((await ada.get('/api/auth/me')).status, 200, 'nothing has changed yet')
  assert.equal((await post(`${url}/api/auth/password`, { token, password: 'a'.repeat(16 * 1024) })).status, 413)
  assert.equal((await post(`${url}/api/auth/password`, { token, password: chosen })).status, 204)
  assert.equal((await post(`${url}/api/auth/password`, { token, password: chosen })).status, 401)
  assert.equal((await ada.get('/api/auth/me')).status, 401)
  assert.equal((await (await signIn(url, 'ada', chosen)).get('/api/auth/me')).status, 200)

  // A mail server that refuses is told to the one who asks.
  mail.refuse('ada@example.org', 1, 451)
  assert.equal((await admin.post(`/api/users/${id}/password-link`)).status, 503)
  mail.refuse('ada@example.org', 1, 550)
  assert.equal((await admin.post(`/api/users/${id}/password-link`)).status, 409)
  assert.ok(!host.output().includes(token.slice(10)))
})

test('without the plugin notify no link is made, and the answer says what is missing', async (t) => {
  const { url, house } = await serve(t)
  const admin = await signIn(url, 'admin', adminPassword)
  const answer = await admin.post(`/api/users/${await house.addUser('ada')}/password-link`)
  assert.equal(answer.status, 409)
  assert.match((await answer.json() as { detail: string }).detail, /notify.*PLATFORM_SMTP_HOST/)
  assert.deepEqual(await house.rows('select * from bulkhead.password_link'), [])
})

test('signing in does not wait for a plugin notify that cannot start', async (t) => {
  const plugins = await temporaryFolder(t)
  await symlink(join(import.meta.dirname, '../../plugins/identity'), join(plugins, 'identity'))
  await writePlugin(plugins, 'notify', {}, 'export default { start () { throw new Error("not today") } }')
  const manifest = join(plugins, 'notify', 'package.json')
  await writeFile(manifest, (await readFile(manifest, 'utf8')).replace('"version":"1.0.0"', '"version":"1.1.0"'))
  const host = startHost(t, {
    DATABASE_URL: await createDatabase(t, { migrated: 'plugins' }), PLATFORM_DATA_PATH: await temporaryFolder(t), PLATFORM_ADMIN_PASSWORD: password,
    PLATFORM_PLUGINS_PATH: plugins, VALKEY_URL: process.env['TEST_VALKEY_URL'] ?? ''
  })
  const { url } = await host.ready()
  const admin = await signIn(url, 'admin', password)
  const { user } = await (await admin.get('/api/auth/me')).json() as { user: { id: string } }
  assert.equal((await admin.post(`/api/users/${user.id}/password-link`)).status, 409)
})
