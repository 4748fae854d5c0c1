// The master key of a real host is changed, as README.md tells an operator to.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import pg from 'pg'
import { renderKeys } from '../../core/cli/key-table.ts'
import { askHost } from '../../core/control/control-socket.ts'
import { keyIdOf } from '../../core/encryption/envelope.ts'
import type { KeyStatus } from '../../core/encryption/index.ts'
import { signIn, type Client } from '../support/client.ts'
import { createDatabase } from '../support/database.ts'
import { startHost, temporaryFolder, type HostProcess } from '../support/host.ts'
import { undo } from '../support/undo.ts'

const password = 'correct horse battery'
const [first, second] = ['0123456789abcdef'.repeat(4), 'fedcba9876543210'.repeat(4)] as const
const [oldId, newId] = [first, second].map(hex => keyIdOf(Buffer.from(hex, 'hex'))) as [string, string]

test('the master key can be changed: the old one is needed until all is under the new one', async (t) => {
  const databaseUrl = await createDatabase(t, { migrated: 'plugins' })
  const dataPath = await temporaryFolder(t)
  const operator = new pg.Client(databaseUrl)
  await operator.connect()
  undo(t, () => operator.end())
  const rows = async (query: string): Promise<Record<string, unknown>[]> => (await operator.query<Record<string, unknown>>(query)).rows
  const everything = async (): Promise<unknown> => {
    const tables = await rows('select quote_ident(schemaname) || \'.\' || quote_ident(tablename) as name from pg_tables where schemaname not in (\'pg_catalog\', \'information_schema\') order by 1')
    const parts = tables.map(({ name }) => `select '${String(name)}' as name, md5(coalesce(string_agg(t::text, '' order by t::text), '')) as hash from ${String(name)} t`)
    return rows(`${parts.join(' union all ')} order by 1`)
  }
  const start = (env: Record<string, string>, args: string[] = []): HostProcess =>
    startHost(t, { DATABASE_URL: databaseUrl, PLATFORM_DATA_PATH: dataPath, PLATFORM_ADMIN_PASSWORD: password, ...env }, args)
  const serve = async (env: Record<string, string>): Promise<{ host: HostProcess, admin: Client, stop (): Promise<void> }> => {
    const host = start(env)
    const { url } = await host.ready()
    return { host, admin: await signIn(url, 'admin', password), stop: async () => { host.signal('SIGTERM'); assert.equal(await host.ended, 0) } }
  }
  const status = async (verb: 'status' | 'rewrap' = 'status'): Promise<string> => renderKeys(await askHost(dataPath, { about: 'keys', verb }) as KeyStatus)
  const run = async (...args: string[]): Promise<string> => {
    const command = start({}, ['keys', ...args])
    await command.ended
    return command.output()
  }
  const put = async (admin: Client, name: string, value: string): Promise<void> => {
    const answer = await admin.put(`/api/secrets/global/${name}`, { value })
    assert.equal(answer.status, 200, await answer.clone().text())
  }
  const reveal = async (admin: Client, version?: number): Promise<unknown> =>
    (await (await admin.post('/api/secrets/global/TOKEN/reveal', version === undefined ? undefined : { version })).json() as { value: string }).value
  const keyIds = async (): Promise<unknown[]> => (await rows(`
    select distinct encode(substring(encrypted_value from 2 for 8), 'hex') as id from secrets
    union select encode(substring(encrypted_value from 2 for 8), 'hex') from secrets.version where encrypted_value is not null
  `)).map(({ id }) => id)

  const old = await serve({ PLATFORM_MASTER_KEY: first })
  for (const value of ['one', 'two', 'three']) await put(old.admin, 'TOKEN', value)
  for (let at = 0; at < 105; at++) await put(old.admin, `MORE_${at}`, `value ${at}`)
  assert.match(await run(), new RegExp(`${oldId}  PLATFORM_MASTER_KEY, or the data folder  1\n[^]*secrets/current  *106\n[^]*Everything is sealed under the current key\\.`))
  await old.stop()

  const before = await everything()
  const wrong = start({ PLATFORM_MASTER_KEY: second })
  assert.equal(await wrong.ended, 2)
  assert.match(wrong.output(), /The master key is not the one that the data in this database was written under\. Set PLATFORM_MASTER_KEY /)
  assert.deepEqual(await everything(), before)

  // The plugin is left out for now, so nothing can be sealed anew, and the old key cannot be taken away.
  const without = await serve({ PLATFORM_MASTER_KEY: second, PLATFORM_MASTER_KEY_PREVIOUS: first, PLATFORM_PLUGINS_DISABLED: 'secrets' })
  assert.match(await status('rewrap'), new RegExp(`${oldId} must stay in PLATFORM_MASTER_KEY_PREVIOUS\\.\n.*"secrets" does not run`))
  await without.stop()
  const kept = await everything()
  const early = start({ PLATFORM_MASTER_KEY: second })
  assert.equal(await early.ended, 2)
  assert.ok(early.output().includes(`still needs the master key ${oldId}`) && early.output().includes('all of secrets/current that there were'), early.output())
  assert.deepEqual(await everything(), kept)

  const both = await serve({ PLATFORM_MASTER_KEY: second, PLATFORM_MASTER_KEY_PREVIOUS: first })
  assert.equal(await reveal(both.admin), 'three')
  await both.host.line(({ msg }) => msg.endsWith('PLATFORM_MASTER_KEY_PREVIOUS can be removed'), 60_000)
  assert.match(await status(), /PLATFORM_MASTER_KEY_PREVIOUS can be removed\.$/)
  assert.deepEqual(await keyIds(), [newId])
  await both.stop()

  const young = await serve({ PLATFORM_MASTER_KEY: second })
  assert.deepEqual([await reveal(young.admin), await reveal(young.admin, 1)], ['three', 'one'])
  assert.match(await status(), new RegExp(`${newId}  PLATFORM_MASTER_KEY, or the data folder  1\n\n[^]*Everything is sealed under the current key\\.`))
  assert.match(await run('forget', 'secrets'), /"forget secrets" is not understood: npm run keys/)
  await assert.rejects(askHost(dataPath, { about: 'keys', verb: 'forget', id: 'secrets' }), { message: /The plugin "secrets" is running/ })
  await young.stop()
})
