// The tables of the schema `bulkhead`: they are made, taken over from earlier versions, and taken back.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type pg from 'pg'
import { prepareAccess } from '../../core/access/index.ts'
import { createMigrations, hostSets, migrateAll, type MigrationSet } from '../../core/resources/migrations/migrations.ts'
import { startHost, temporaryFolder } from '../support/host.ts'
import { createOwnedDatabase } from '../support/owned-database.ts'
import { clock, createLog } from '../support/part.ts'
import { openTestPostgres } from '../support/postgres.ts'
import { select, until } from '../resources/migrations/migration-folder.ts'
import { readCatalogue } from './catalogue.ts'

const parts = { log: createLog(), clock }
const sets = hostSets(join(import.meta.dirname, '../..'))
const [core, tables] = sets as [MigrationSet, MigrationSet]
const earlier = (name: string): string => readFileSync(join(import.meta.dirname, `earlier/${name}.sql`), 'utf8')
/** The statements that one start of each version runs on a database that lacks its tables. */
const starts = { '1.2.0': earlier('1.2.0-start'), '1.3.0': earlier('1.2.0-start') + earlier('1.3.0-start') }

/** Does the same as each start after the migrations. */
async function prepare (t: TestContext, url: string): Promise<void> {
  const { postgres, close } = await openTestPostgres(t, { url })
  await prepareAccess(postgres, undefined, { auditIsArchived: true })
  await close()
}

async function readRows (client: pg.Client, tables: readonly string[]): Promise<Record<string, unknown[]>> {
  const rows: Record<string, unknown[]> = {}
  for (const table of tables) rows[table] = (await client.query(`select * from bulkhead.${table} as r order by r::text`)).rows
  return rows
}

const tablesIn = async (url: string): Promise<string[]> => (await select(url,
  `select relname::text from pg_class where relnamespace = 'bulkhead'::regnamespace and relkind = 'r' and relname <> 'migration' order by 1`)) as string[]

async function createNew (t: TestContext): Promise<string> {
  const { url } = await createOwnedDatabase(t)
  await migrateAll({ url, sets, ...parts })
  await prepare(t, url)
  return url
}

test('a database of an earlier version is taken over with every row, and is as a new one', async t => {
  const made = await readCatalogue(await createNew(t), 'bulkhead')
  for (const [version, rows] of [['1.2.0', ['1.2.0-rows']], ['1.3.0', ['1.2.0-rows', '1.3.0-rows']]] as const) {
    await t.test(version, async t => {
      const { url, client } = await createOwnedDatabase(t)
      await createMigrations({ url, ...core, ...parts }).up()
      await client.query(starts[version])
      for (const name of rows) await client.query(earlier(name))
      const names = await tablesIn(url)
      assert.equal(names.length, version === '1.2.0' ? 9 : 12)
      const before = await readRows(client, names)
      for (const [name, rows] of Object.entries(before)) assert.notDeepEqual(rows, [], `${name} has rows`)

      assert.deepEqual((await migrateAll({ url, sets, ...parts })).map(({ owner }) => owner), Array.from({ length: 4 }, () => 'bulkhead'))
      await prepare(t, url)
      assert.deepEqual(await readRows(client, names), before)
      assert.deepEqual(await readCatalogue(url, 'bulkhead'), made)
      for (const table of ['public.audit_log', 'bulkhead.audit_source']) await assert.rejects(client.query(`delete from ${table}`), /permission denied/)

      // A replica of the earlier version starts beside it.
      await client.query(starts[version])
      assert.deepEqual(await readRows(client, names), before)
      assert.deepEqual(await readCatalogue(url, 'bulkhead'), made)
    })
  }
})

test('a replica of an earlier version that is making its tables is waited for', async t => {
  const { url, client } = await createOwnedDatabase(t)
  await createMigrations({ url, ...core, ...parts }).up()
  const migrations = createMigrations({ url, ...tables, ...parts })
  for (const transaction of starts['1.3.0'].split('commit;').filter(text => text.includes('create table'))) {
    await client.query(transaction)
    const migrated = migrations.up()
    await until(url, `select 1 from pg_locks where locktype = 'advisory' and not granted
      and database = (select oid from pg_database where datname = current_database())`)
    await client.query('commit')
    assert.equal((await migrated).length, 4)
    await client.query(starts['1.3.0'])
    await migrations.down(4)
  }
})

test('the tables go down to nothing and up again, also from under the audit log and its archive', async t => {
  const url = await createNew(t)
  const full = await readCatalogue(url, 'bulkhead')
  const migrations = createMigrations({ url, ...tables, ...parts })
  const names = (await migrations.status()).applied.map(({ name }) => name)
  for (const name of names.toReversed()) assert.deepEqual(await migrations.down(1), [name])
  assert.deepEqual(await tablesIn(url), [])
  assert.deepEqual(await migrations.up(), names)
  await prepare(t, url)
  assert.deepEqual(await readCatalogue(url, 'bulkhead'), full)
})

test('the command shows both sets of the host, and takes down the tables of the host by name', async t => {
  const { url } = await createOwnedDatabase(t)
  await migrateAll({ url, sets, ...parts })
  const env = { DATABASE_URL: url, PLATFORM_DATA_PATH: await temporaryFolder(t) }
  const status = startHost(t, env, ['migrate'])
  assert.equal(await status.ended, 0)
  assert.match(status.output(), /^core: 19 applied, 0 pending[\s\S]*^bulkhead: 4 applied, 0 pending/m)
  const down = startHost(t, env, ['migrate', 'down', '2', 'bulkhead', '--yes'])
  assert.equal(await down.ended, 0)
  assert.match(down.output(), /^down: 0004_plugin_choice\ndown: 0003_audit\nbulkhead: 2 applied, 2 pending/)
})
