// Migrations run once, whole, in order, and only when history allows it.

import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import {
  createMigrations, migrateAll, renderStatus, type Migrations, MigrationFailed, MigrationsLocked, MigrationsRefused
} from '../../../core/resources/migrations/migrations.ts'
import { createDatabase } from '../../support/database.ts'
import { clock, createLog } from '../../support/part.ts'
import { connect, createFolder, select, tablesOf, until, type Folder } from './migration-folder.ts'

const parts = { log: createLog(), clock }
const createCore = (url: string, folder: Folder): Migrations => createMigrations({ url, owner: 'core', schema: 'public', folder: folder.path, ...parts })

const three = {
  '001_a.sql': 'create table a ()', '001_a.down.sql': 'drop table a',
  '002_b.sql': 'create table b ()', '002_b.down.sql': 'drop table b',
  '003_c.sql': 'create table c ()', '003_c.down.sql': 'drop table c'
}

test('what is pending runs in order, and then is applied', async t => {
  const url = await createDatabase(t)
  const folder = createFolder(t, { '001_a.sql': three['001_a.sql'], '002_b.sql': 'alter table a rename to b' })
  const core = createCore(url, folder)
  assert.deepEqual((await core.status()).pending, ['001_a', '002_b'])
  assert.deepEqual(await core.up(), ['001_a', '002_b'])
  assert.deepEqual(await core.up(), [])
  assert.deepEqual((await core.status()).applied.map(({ name }) => name), ['001_a', '002_b'])
  assert.deepEqual(await tablesOf(url), ['b'])

  folder.write({ '003_c.sql': three['003_c.sql'] })
  assert.deepEqual(await core.up(), ['003_c'])
})

test('down undoes the last ones, newest first', async t => {
  const url = await createDatabase(t)
  const core = createCore(url, createFolder(t, three))
  await core.up()
  assert.deepEqual(await core.down(2), ['003_c', '002_b'])
  assert.deepEqual(await tablesOf(url), ['a'])
  assert.deepEqual(await core.up(), ['002_b', '003_c'])
  assert.deepEqual(await core.down(10), ['003_c', '002_b', '001_a'])
  assert.deepEqual(await core.down(1), [])
  for (const count of [0, -1, 1.5, NaN]) await assert.rejects(core.down(count), RangeError)
})

test('down stops before it begins when one of the files to undo has no down file', async t => {
  const url = await createDatabase(t)
  const folder = createFolder(t, three)
  await createCore(url, folder).up()
  folder.remove('002_b.down.sql')
  await assert.rejects(createCore(url, folder).down(2), refused(/002_b\.sql cannot be undone: there is no 002_b\.down\.sql beside it\. Write one\./))
  assert.deepEqual(await tablesOf(url), ['a', 'b', 'c'])
  assert.deepEqual(await createCore(url, folder).down(1), ['003_c'])
})

test('a file that was changed after it was applied stops everything, and is named', async t => {
  const url = await createDatabase(t)
  const folder = createFolder(t, three)
  await createCore(url, folder).up()
  folder.write({ '002_b.sql': 'create table bb ()', '004_d.sql': 'create table d ()' })
  await assert.rejects(createCore(url, folder).up(), refused(/002_b\.sql was changed after it was applied \(2.*Z\)\. Put the old text back/))
  assert.deepEqual(await tablesOf(url), ['a', 'b', 'c'])
  assert.equal((await createCore(url, folder).status()).problems.length, 1)
})

test('an edited migration is mended by going down and up', async t => {
  const url = await createDatabase(t)
  const folder = createFolder(t, three)
  await createCore(url, folder).up()
  folder.write({ '003_c.sql': 'create table cc ()' })
  assert.deepEqual(await createCore(url, folder).down(1), ['003_c'])
  assert.deepEqual(await createCore(url, folder).up(), ['003_c'])
  assert.deepEqual(await tablesOf(url), ['a', 'b', 'cc'])
})

test('a checkout with other line endings is no change', async t => {
  const url = await createDatabase(t)
  const folder = createFolder(t, { '001_a.sql': 'create table a\n()\n' })
  await createCore(url, folder).up()
  folder.write({ '001_a.sql': 'create table a\r\n()\r\n' })
  assert.deepEqual(await createCore(url, folder).up(), [])
})

test('a database that a newer version has migrated is no problem, but is not taken down', async t => {
  const url = await createDatabase(t)
  const folder = createFolder(t, three)
  await createCore(url, folder).up()
  folder.remove('003_c.sql', '003_c.down.sql')
  assert.deepEqual(await createCore(url, folder).up(), [])
  const status = await createCore(url, folder).status()
  assert.deepEqual([status.newer, status.problems], [[{ name: '003_c', breaks: null }], []])
  assert.match(renderStatus(status), /^core: 3 applied, 1 of them by a newer version, 0 pending\n.*\n.*\n {2}003_c {2}\S+Z {2}of a newer version$/)
  const newer = refused(/has the migration 003_c of "core" \(applied 2.*Z\), which is newer than any this host has\. Start the newer host/)
  await assert.rejects(createCore(url, folder).down(1), newer)
})

test('a migration says in its first line which versions it breaks, and only those are refused', async t => {
  const url = await createDatabase(t)
  const folder = createFolder(t, { '001_a.sql': 'create table a ()', '002_b.sql': '-- breaks: <1.10.0\ndrop table a' })
  for (const owner of ['core', 'notes']) {
    const create = (version: string): Migrations => createMigrations({ url, owner, schema: owner === 'core' ? 'public' : owner, folder: folder.path, version, ...parts })
    folder.write({ '002_b.sql': '-- breaks: <1.10.0\ndrop table a' })
    assert.deepEqual(await create('1.10.0').up(), ['001_a', '002_b'])
    folder.remove('002_b.sql')
    const broken = refused(new RegExp(`migration 002_b of "${owner}", with which versions before 1\\.10\\.0 cannot work, and this is 1\\.9\\.3\\. Start version 1\\.10\\.0 or newer`))
    await assert.rejects(create('1.9.3').up(), broken)
    for (const version of ['1.10.0', '1.10.0-rc.1', '1.10.1', '2.0.0']) assert.deepEqual(await create(version).up(), [])
    assert.match(renderStatus(await create('1.9.3').status()), /002_b .* of a newer version; breaks versions before 1\.10\.0\n! The database has/)
  }
  folder.write({ '002_b.sql': '-- breaks: 1.10\nselect 1' })
  await assert.rejects(createCore(url, folder).up(), refused(/002_b\.sql:1 says which versions it breaks, and not in the form `-- breaks: <1\.4\.0`/))
})

test('a journal without the column for broken versions is read, and gets it with the next migration', async t => {
  const url = await createDatabase(t)
  const folder = createFolder(t, { '001_a.sql': three['001_a.sql'] })
  await createCore(url, folder).up()
  await select(url, 'alter table bulkhead.migration drop column breaks')
  assert.deepEqual(await createCore(url, folder).up(), [])
  folder.write({ '002_b.sql': '-- breaks: <1.4.0\ncreate table b ()' })
  await createCore(url, folder).up()
  assert.deepEqual(await select(url, 'select breaks from bulkhead.migration order by name'), [null, '1.4.0'])
})

test('an applied file that is gone is asked back', async t => {
  const url = await createDatabase(t)
  const folder = createFolder(t, three)
  await createCore(url, folder).up()
  folder.remove('002_b.sql', '002_b.down.sql')
  await assert.rejects(createCore(url, folder).up(), refused(/The migration 002_b of "core".*its file is gone\. Put 002_b\.sql back\./))
})

test('a new file that sorts before an applied one is refused', async t => {
  const url = await createDatabase(t)
  const folder = createFolder(t, { '002_b.sql': three['002_b.sql'] })
  await createCore(url, folder).up()
  folder.write({ '001_a.sql': three['001_a.sql'] })
  await assert.rejects(createCore(url, folder).up(), refused(/001_a\.sql is new, and sorts before 002_b, which has been applied\. Rename it/))
  assert.deepEqual(await tablesOf(url), ['b'])
})

test('the problems of all owners come in one message, and none of them runs', async t => {
  const url = await createDatabase(t)
  const sets = [
    { owner: 'core', schema: 'public', folder: createFolder(t, three).path },
    { owner: 'notes', schema: 'notes', folder: createFolder(t, { '001_n.sql': 'begin' }).path },
    { owner: 'invoices', schema: 'invoices', folder: createFolder(t, { 'invoices.sql': 'select 1' }).path }
  ]
  await assert.rejects(migrateAll({ url, sets, ...parts }), refused(/001_n\.sql:1 has its own "begin"[\s\S]*invoices\.sql is not named/))
  assert.deepEqual(await tablesOf(url), [])
})

test('each owner migrates in its own schema, after those before it', async t => {
  const url = await createDatabase(t)
  const sets = [
    { owner: 'core', schema: 'public', folder: createFolder(t, { '001_a.sql': 'create table a (id int primary key)' }).path },
    { owner: 'my-notes', schema: 'my-notes', folder: createFolder(t, { '001_a.sql': 'create table note (a_id int references a)' }).path },
    { owner: 'tags', schema: 'tags', folder: createFolder(t, { '001_a.sql': 'create table tag ()' }).path },
    { owner: 'bare', schema: 'bare', folder: join(createFolder(t).path, 'gone') }
  ]
  assert.deepEqual(await migrateAll({ url, sets, ...parts }), [
    { owner: 'core', name: '001_a' }, { owner: 'my-notes', name: '001_a' }, { owner: 'tags', name: '001_a' }
  ])
  assert.deepEqual(await tablesOf(url), ['a'])
  assert.deepEqual(await tablesOf(url, 'my-notes'), ['note'])
  assert.deepEqual(await tablesOf(url, 'tags'), ['tag'])
  assert.deepEqual(await migrateAll({ url, sets, ...parts }), [])
})

test('a migration that changes the search path changes it for itself only', async t => {
  const url = await createDatabase(t)
  const folder = createFolder(t, { '001_a.sql': 'create schema x; set search_path = x; create table a ()', '002_b.sql': 'create table b ()' })
  assert.deepEqual(await createCore(url, folder).up(), ['001_a', '002_b'])
  assert.deepEqual(await tablesOf(url), ['b'])
})

test('a syntax error names file, line and column, and leaves nothing of the file', async t => {
  const url = await createDatabase(t)
  const folder = createFolder(t, {
    '001_a.sql': three['001_a.sql'], '002_b.sql': '-- ünï 🐘\ncreate table b ();\ncreate tabel c ();\n', '003_c.sql': 'select 1'
  })
  const notes = createMigrations({ url, owner: 'notes', schema: 'notes', folder: folder.path, ...parts })
  await assert.rejects(notes.up(), failed(
    /002_b\.sql:3:8 did not run: syntax error at or near "tabel" \(42601\)\n {2}3 \| create tabel c \(\);\n {13}\^\nNothing of this file was kept/))
  assert.deepEqual(await tablesOf(url, 'notes'), ['a'], 'the one before it stays')
  const { applied, pending } = await notes.status()
  assert.deepEqual([applied.length, pending], [1, ['002_b', '003_c']])

  folder.write({ '002_b.sql': 'create table b ()' })
  assert.deepEqual(await notes.up(), ['002_b', '003_c'])
})

test('a first migration that fails leaves no schema behind', async t => {
  const url = await createDatabase(t)
  const folder = createFolder(t, { '001_a.sql': 'create table a (b nonsense)' })
  const notes = createMigrations({ url, owner: 'notes', schema: 'notes', folder: folder.path, ...parts })
  await assert.rejects(notes.up(), failed(/001_a\.sql:1:19 .*"nonsense"/))
  assert.deepEqual(await select(url, `select nspname from pg_namespace where nspname = 'notes'`), [])
})

test('an error over the data names the line of its statement', async t => {
  const url = await createDatabase(t)
  const folder = createFolder(t, { '001_a.sql': 'create table a (b int not null);\n-- none\n\ninsert into a\n  values (1), (null);\nselect 1' })
  await assert.rejects(createCore(url, folder).up(), failed(
    /001_a\.sql:4 did not run: null value in column "b".*\n {2}4 \| insert into a\nFailing row contains/))
  assert.deepEqual(await tablesOf(url), [])
})

test('a constraint that fails at the commit fails the file', async t => {
  const url = await createDatabase(t)
  const folder = createFolder(t, { '001_a.sql': 'create table a (b int unique deferrable initially deferred); insert into a values (1), (1)' })
  await assert.rejects(createCore(url, folder).up(), failed(/001_a\.sql did not run: duplicate key value/))
  assert.deepEqual(await tablesOf(url), [])
})

test('a role that may not create schemas is told what it lacks', async t => {
  const url = await createDatabase(t)
  const role = `limited_${new URL(url).pathname.slice(1)}`
  const admin = await connect(t, url)
  await admin.query(`create role ${role} login password 'limited'`)
  try {
    const limited = new URL(url)
    limited.username = role
    limited.password = 'limited'
    await assert.rejects(createCore(limited.href, createFolder(t, three)).up(), failed(
      /bulkhead\.migration, could not be made: permission denied for database .* The host needs a role that may create schemas/))
  } finally {
    await admin.query(`drop role ${role}`)
  }
})

test('a time-out that the database has for queries is not one for migrations', async t => {
  const url = await createDatabase(t)
  await (await connect(t, url)).query(`alter database ${new URL(url).pathname.slice(1)} set statement_timeout = '50ms'`)
  assert.deepEqual(await createCore(url, createFolder(t, { '001_a.sql': 'select pg_sleep(0.2)' })).up(), ['001_a'])
})

test('ten hosts that start at once run each migration once', async t => {
  const url = await createDatabase(t)
  const folder = createFolder(t, {
    '001_a.sql': 'create table ran (name text); insert into ran values (1); select pg_sleep(0.1)', '002_b.sql': 'insert into ran values (2)'
  })
  const script = join(import.meta.dirname, 'migrate-process.ts')
  const ran = await Promise.all(Array.from({ length: 10 }, () => promisify(execFile)(process.execPath, [script, url, folder.path])))
  assert.deepEqual(ran.map(({ stdout }) => stdout).filter(stdout => stdout !== '[]'), ['["001_a","002_b"]'])
  assert.deepEqual(await select(url, 'select name from ran order by 1'), ['1', '2'])
})

test('a host killed between the change and its journal row leaves neither', async t => {
  const url = await createDatabase(t)
  const folder = createFolder(t, { '001_a.sql': three['001_a.sql'] })
  await createCore(url, folder).up()
  folder.write({ '002_b.sql': three['002_b.sql'] })

  const holder = await connect(t, url)
  await holder.query('begin; lock table bulkhead.migration in share mode')
  const child = spawn(process.execPath, [join(import.meta.dirname, 'migrate-process.ts'), url, folder.path])
  t.after(() => child.kill('SIGKILL'))
  const writing = `select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like 'insert into bulkhead.migration%' and datname = current_database()`
  await until(url, writing)
  child.kill('SIGKILL')
  await once(child, 'close')
  await holder.query('commit')

  assert.deepEqual(await createCore(url, folder).up(), ['002_b'])
  assert.deepEqual(await tablesOf(url), ['a', 'b'])
})

test('while a session migrates, another waits; when that takes too long it says for whom', async t => {
  const url = await createDatabase(t)
  const slow = createFolder(t, { '001_a.sql': 'select pg_sleep(1.5)' })
  const first = createCore(url, slow).up()
  await until(url, `
    select 1 from pg_locks where locktype = 'advisory' and granted and database = (select oid from pg_database where datname = current_database())`)
  const said: { message?: string }[] = []
  const impatient = createMigrations({ url, owner: 'core', schema: 'public', folder: slow.path, clock, log: createLog(said), lockTimeoutMs: 100 })
  await assert.rejects(impatient.up(), (error: Error) => {
    assert.ok(error instanceof MigrationsLocked)
    assert.match(error.message, new RegExp(`^Migrations are being run by "bulkhead migrations, process ${process.pid} on .*" \\(pid \\d+, from 127\\.0\\.0\\.1, since 2.*Z\\)`))
    assert.match(error.message, /Wait for it and start again, or end it with `select pg_terminate_backend\(pid\)`/)
    return true
  })
  assert.match(said[0]?.message ?? '', /^waiting for another host that is migrating: "bulkhead migrations, process/)
  const patient = createCore(url, slow).up()
  assert.deepEqual(await first, ['001_a'])
  assert.deepEqual(await patient, [])
})

test('a start with nothing to migrate waits for no lock', async t => {
  const url = await createDatabase(t)
  const folder = createFolder(t, three)
  await createCore(url, folder).up()
  folder.write({ '004_d.sql': 'select pg_sleep(5)' })
  const stop = new AbortController()
  const other = createCore(url, folder).up(stop.signal)
  await until(url, `select 1 from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()`)
  folder.remove('004_d.sql')
  const impatient = createMigrations({ url, owner: 'core', schema: 'public', folder: folder.path, ...parts, lockTimeoutMs: 1 })
  assert.deepEqual(await impatient.up(), [])
  stop.abort()
  await assert.rejects(other)
})

test('aborting ends the statement that runs, on the server too, and nothing of it is kept', async t => {
  const url = await createDatabase(t)
  const folder = createFolder(t, { '001_a.sql': 'create table a (); select pg_sleep(60)' })
  const stop = new AbortController()
  const running = createCore(url, folder).up(stop.signal)
  const sleeping = `select 1 from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()`
  await until(url, sleeping)
  const reason = new Error('the host stops')
  stop.abort(reason)
  await assert.rejects(running, reason)
  await until(url, `select 1 where not exists (${sleeping})`)
  assert.deepEqual(await tablesOf(url), [])
  await assert.rejects(createCore(url, folder).up(AbortSignal.abort(reason)), reason)
})

test('the status reads as a list', async t => {
  const url = await createDatabase(t)
  const folder = createFolder(t, { '001_a.sql': three['001_a.sql'] })
  await createCore(url, folder).up()
  folder.write({ '001_a.sql': 'create table aa ()', '002_b.sql': three['002_b.sql'] })
  const text = renderStatus(await createCore(url, folder).status())
  assert.match(text, /^core: 1 applied, 1 pending\n {2}001_a {2}2.*Z\n {2}002_b {2}pending\n! .*001_a\.sql was changed/)
})

function refused (said: RegExp): (error: Error) => boolean {
  return error => {
    assert.ok(error instanceof MigrationsRefused, String(error))
    assert.match(error.message, said)
    assert.match(error.message, /^The database was not migrated, and nothing was changed:\n- /)
    return true
  }
}

function failed (said: RegExp): (error: Error) => boolean {
  return error => {
    assert.ok(error instanceof MigrationFailed, String(error))
    assert.match(error.message, said)
    return true
  }
}
