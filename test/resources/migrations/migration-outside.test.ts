// A plugin's migration stays in its own schema: whatever it does elsewhere is found before it commits, and nothing of the file is stored.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { watchOutside } from '../../../core/resources/migrations/migration-outside.ts'
import { createMigrations, migrateAll, MigrationFailed, type Migrations } from '../../../core/resources/migrations/migrations.ts'
import { createDatabase } from '../../support/database.ts'
import { clock, createLog } from '../../support/part.ts'
import { connect, createFolder, select, tablesOf, type Folder } from './migration-folder.ts'

const parts = { log: createLog(), clock }
const createNotes = (url: string, folder: Folder): Migrations => createMigrations({ url, owner: 'notes', schema: 'notes', folder: folder.path, ...parts })
const role = `r_${randomUUID().slice(0, 8)}`

const fake = `create function notes.empty() returns trigger language plpgsql as $$ begin delete from public.audit_log; return null; end $$;
  create table notes.bait (id int);`

/** By what each does: the file, and what the refusal names. */
const refused: Readonly<Record<string, [string, RegExp]>> = {
  'empties the audit log': ['delete from audit_log', /writes to public\.audit_log/],
  'empties it without its statistics': ['set track_counts = off; delete from audit_log; set track_counts = on', /writes to public\.audit_log/],
  'empties it with a truncate': ['truncate audit_log', /changes relation public\.audit_log/],
  'empties it in a block': [`do $$ begin execute 'delete from public.audit_log'; end $$`, /writes to public\.audit_log/],
  'empties it in a savepoint of a block': [`do $$ begin delete from public.audit_log; exception when others then null; end $$`, /writes to public\.audit_log/],
  'empties it by a function of its own': [`create function notes.f() returns void language sql security definer as 'delete from public.audit_log'; select notes.f()`, /writes to public\.audit_log/],
  'empties it by a trigger at the commit': [`${fake} create constraint trigger t after insert on notes.bait deferrable initially deferred for each row execute function notes.empty(); insert into notes.bait values (1)`, /writes to public\.audit_log/],
  'inserts into a core table': [`insert into users (name, email, password_hash) values ('eve', 'eve@example.com', 'x')`, /writes to public\.users/],
  'updates with functions of its own in the way': [`create function notes.md5(text) returns text language sql as $$ select 'same' $$; set search_path = notes, pg_catalog; update public.users set name = name`, /writes to public\.users/],
  'refers to sessions': ['create table notes.mine (id uuid references public.auth_sessions (id) on delete cascade)', /the foreign key mine_id_fkey of notes\.mine refers to public\.auth_sessions/],
  'refers to a table of the host': ['create table notes.mine (owner text, name text, foreign key (owner, name) references bulkhead.migration)', /notes\.mine refers to bulkhead\.migration/],
  'moves a sequence': [`select setval('public.shared_number', 9)`, /writes to public\.shared_number/],
  'adds a column': ['alter table users add column note text', /changes relation public\.users[^]*makes column note of public\.users/],
  'drops a column': ['alter table users drop column display_name cascade', /changes column/],
  'drops a table': ['drop table audit_log cascade', /removes relation public\.audit_log/],
  'renames a table': ['alter table users rename to people', /changes relation public\.people/],
  'takes a table into its schema': ['alter table audit_log set schema notes', /removes relation public\.audit_log/],
  'makes a table elsewhere': ['create table public.mine ()', /makes relation public\.mine/],
  'makes a schema': ['create schema mine', /makes schema mine/],
  'renames the public schema': ['alter schema public rename to other; create schema public', /schema/],
  'moves its own table out': ['create table mine (); alter table mine set schema public', /makes relation public\.mine/],
  'adds an index': ['create index mine on users (lower(name))', /makes relation public\.mine/],
  'adds a constraint': ['alter table users add constraint mine check (true)', /makes constraint mine of users|makes constraint mine of public\.users/],
  'drops a constraint': ['alter table api_tokens drop constraint api_tokens_pkey cascade', /removes constraint api_tokens_pkey/],
  'sets a default': [`alter table users alter column name set default 'x'`, /default public\.users/],
  'adds a trigger': [`create trigger mine before update on users for each row execute function set_updated_at()`, /makes trigger mine of public\.users/],
  'disables triggers': ['alter table users disable trigger user', /changes trigger|changes relation public\.users/],
  'makes a rule': ['create rule mine as on delete to users do instead nothing', /makes rule mine of public\.users/],
  'takes a rule or trigger of the audit log': ['drop rule if exists audit_log_no_delete on audit_log; alter table audit_log disable trigger all; alter table audit_log disable row level security, enable row level security', /public\.audit_log/],
  'makes a policy': ['create policy mine on users using (true)', /makes policy mine of public\.users/],
  'replaces a function': ['create or replace function public.set_updated_at() returns trigger language plpgsql as $$ begin return null; end $$', /changes function public\.set_updated_at\(\)/],
  'changes what a function is': ['alter function set_updated_at() security definer', /changes function public\.set_updated_at\(\)/],
  'makes a function elsewhere': [`create function public.mine() returns int language sql as 'select 1'`, /makes function public\.mine\(\)/],
  'makes a function of the system': [`create function pg_catalog.mine() returns int language sql as 'select 1'`, /makes function|mine/],
  'makes a type elsewhere': ['create type public.mine as (a int)', /makes type public\.mine/],
  'makes a domain elsewhere': ['create domain public.mine as int', /makes type public\.mine/],
  'makes an operator elsewhere': ['create operator public.=== (leftarg = int, rightarg = int, function = int4eq)', /makes operator public\./],
  'makes a cast': ['create cast (point as inet) with inout', /makes cast point as inet/],
  'makes a view elsewhere': ['create view public.mine as select 1 as a', /makes relation public\.mine/],
  'makes a sequence elsewhere': ['create sequence public.mine', /makes relation public\.mine/],
  'inherits from a core table': ['create table mine () inherits (public.users)', /public\.users/],
  'grants on a table': ['grant all on users to public', /changes relation public\.users/],
  'grants on a column': ['grant select (name) on users to public', /changes column name of public\.users/],
  'grants on a schema': ['grant create on schema public to public', /changes schema public/],
  'grants on a function': ['revoke execute on function set_updated_at() from public', /changes function public\.set_updated_at\(\)/],
  'grants by default': ['alter default privileges grant all on tables to public', /makes default privileges of/],
  'changes an owner': [`create role ${role}a; alter table users owner to ${role}a`, /makes role .*a[^]*|changes relation public\.users/],
  'makes a role': [`create role ${role}b login superuser`, /makes role/],
  'makes a member': [`create role ${role}c; grant ${role}c to current_user`, /makes membership/],
  'drops a role': [`drop role old_${role}`, /removes role old_/],
  'revokes a membership': [`revoke pg_monitor from lent_${role}`, /removes membership/],
  'resets a setting of a role': [`alter role lent_${role} reset work_mem`, /removes settings of/],
  'sets a setting of the role': [`alter role current_user set search_path = notes`, /settings of/],
  'sets a setting of the database': [`do $$ begin execute format('alter database %I set search_path = notes', current_database()); end $$`, /makes settings of the database/],
  'grants on the database': [`do $$ begin execute format('grant create on database %I to public', current_database()); end $$`, /changes database/],
  'makes an extension': ['create extension pg_trgm', /makes extension pg_trgm/],
  'makes an event trigger': [`create function notes.e() returns event_trigger language plpgsql as 'begin end'; create event trigger mine on ddl_command_start execute function notes.e()`, /makes event trigger mine/],
  'makes a publication': ['create publication mine for table users', /makes publication mine/],
  'makes a foreign server': ['create foreign data wrapper mine; create server mine foreign data wrapper mine', /makes foreign/],
  'makes a large object': [`select lo_create(0)`, /makes large object|writes to/],
  'comments on a core table': [`comment on table users is 'mine'`, /makes comment table/],
  'changes statistics': ['create statistics public.mine on name, email from users', /makes statistics public\.mine/],
  'changes another plugin': ['create table tags.mine ()', /makes relation tags\.mine/],
  'writes another plugin\'s rows': ['insert into tags.tag values (1)', /writes to tags\.tag/],
  'changes the journal': [`delete from bulkhead.migration`, /writes to bulkhead\.migration/]
}

const isLong = process.env.BULKHEAD_LONG === '1'
/** One of each kind; the rest takes a minute. */
const shortForm = new Set([
  'empties the audit log', 'empties it without its statistics', 'empties it with a truncate', 'empties it by a trigger at the commit', 'adds a column', 'drops a table',
  'adds a trigger', 'disables triggers', 'replaces a function', 'grants on a table', 'makes a member', 'sets a setting of the role', 'makes an extension', 'drops a role'
])

void suite('what a plugin\'s migration changes outside its schema', { concurrency: 4 }, () => {
  const before = `create schema tags; create table tags.tag (id int); create sequence public.shared_number`
  const what = `select (select count(*)::int from audit_log), (select count(*)::int from users), to_regclass('notes.kept')::text,
    (select count(*)::int from pg_roles where rolname like '${role}%'), to_regclass('public.users')::text`

  test('a file that leaves its schema is refused, and nothing of it is stored', async t => {
    const url = await createDatabase(t, { migrated: 'core' })
    const client = await connect(t, url)
    await client.query(before)
    await client.query(`create role old_${role}; create role lent_${role} in role pg_monitor; alter role lent_${role} set work_mem = '1MB'`)
    await client.query(`insert into audit_log (actor_id, actor_name, action, resource) values (gen_random_uuid(), 'test', 'test', 'test')`)
    await createNotes(url, createFolder(t, { '001_kept.sql': 'create table earlier ()' })).up()
    for (const [title, [text, message]] of Object.entries(refused)) {
      if (!isLong && !shortForm.has(title)) continue
      await t.test(title, async t => {
        const folder = createFolder(t, { '001_kept.sql': 'create table earlier ()', '002_a.sql': `create table kept ();\n${text}` })
        await assert.rejects(createNotes(url, folder).up(), (error: unknown) => {
          assert.ok(error instanceof MigrationFailed)
          assert.match(error.message, /002_a\.sql was refused: /)
          assert.match(error.message, message)
          assert.match(error.message, /Nothing of this file was kept/)
          return true
        })
        assert.deepEqual(await select(url, what), [1, 0, null, 0, 'users'])
        assert.deepEqual(await select(url, 'select name from bulkhead.migration where owner = \'notes\''), ['001_kept'])
      })
    }
  })

  test('a down file that changes anything outside is refused too', async t => {
    const url = await createDatabase(t, { migrated: 'core' })
    const folder = createFolder(t, { '001_a.sql': 'create table a ()', '001_a.down.sql': 'drop table a; drop table audit_log' })
    const notes = createNotes(url, folder)
    await notes.up()
    await assert.rejects(notes.down(1), /001_a\.down\.sql was refused[^]*removes relation public\.audit_log/)
    assert.deepEqual(await tablesOf(url, 'notes'), ['a'])
  })

  test('what a plugin does in its own schema is accepted, up and down', async t => {
    const url = await createDatabase(t, { migrated: 'core' })
    const folder = createFolder(t, {
      '001_all.sql': `
        create type state as enum ('open', 'done');
        create domain title as text check (value <> '');
        create sequence number;
        create table note (
          id uuid primary key default gen_random_uuid(), seq bigint generated always as identity, number int default nextval('number'), title title, state state,
          body text, updated_at timestamptz,
          author_id uuid references public.users (id) on delete cascade deferrable initially deferred
        );
        create index note_title on note (lower(title));
        create function touch() returns trigger language plpgsql as $$ begin return new; end $$;
        create trigger touched before update on note for each row execute function touch();
        create trigger updated before update on note for each row execute function public.set_updated_at();
        create view open_note as select n.*, u.name as author from note n left join public.users u on u.id = n.author_id where state = 'open';
        create materialized view counted as select count(*) from public.users;
        create rule silent as on delete to note do instead nothing;
        alter table note enable row level security;
        create policy everyone on note using (true);
        create table part (id int) partition by range (id);
        create table part_1 partition of part for values from (0) to (10);
        create operator === (leftarg = int, rightarg = int, function = int4eq);
        create aggregate total (int) (sfunc = int4pl, stype = int);
        create statistics s on title, state from note;
        comment on table note is 'A note';
        grant select on note to public; grant usage on schema notes to public;
        alter default privileges in schema notes grant select on tables to public;
        insert into note (title, state) values ('a', 'open'), ('b', 'done');
        insert into note (title, author_id) select name, id from public.users;
        update note set body = repeat('x', 100000);
        create temporary table scratch as select * from note;
        truncate part;
        select pg_advisory_xact_lock(1);
        notify channel;
        set work_mem = '8MB'; set role pg_database_owner; reset role`,
      '001_all.down.sql': 'drop schema notes cascade',
      '002_more.sql': 'create table scratch (); alter type state add value \'late\'; alter table note add column more int default 1; drop view open_note; refresh materialized view counted; savepoint a; rollback to a',
      '002_more.down.sql': 'drop table scratch; alter table note drop column more'
    })
    const notes = createNotes(url, folder)
    assert.deepEqual(await notes.up(), ['001_all', '002_more'])
    assert.deepEqual(await select(url, 'select count(*)::int from notes.note'), [2])
    assert.deepEqual(await notes.down(2), ['002_more', '001_all'])
    assert.deepEqual(await notes.up(), ['001_all', '002_more'])
  })

  test('a cursor that would be run at the commit is closed before it', async t => {
    const url = await createDatabase(t, { migrated: 'core' })
    await select(url, `insert into audit_log (actor_id, actor_name, action, resource) values (gen_random_uuid(), 'test', 'test', 'test') returning 1`)
    const text = `create function notes.g() returns int language plpgsql as $$ begin delete from public.audit_log; return 1; end $$;
      declare c cursor with hold for select notes.g()`
    assert.deepEqual(await createNotes(url, createFolder(t, { '001_a.sql': text })).up(), ['001_a'])
    assert.deepEqual(await select(url, 'select count(*)::int from audit_log'), [1])
  })

  test('one file leaves no setting, role, temporary table or prepared statement to the next', async t => {
    const url = await createDatabase(t, { migrated: 'core' })
    const first = createFolder(t, { '001_a.sql': `set work_mem = '7MB'; set role pg_database_owner; create temporary table note (); prepare p as select 1; listen x` })
    const second = createFolder(t, {
      '001_b.sql': `create table seen as select current_setting('work_mem') as work_mem, current_user = session_user as own, to_regclass('pg_temp.note') is null as clean,
        (select count(*)::int from pg_prepared_statements) as prepared, (select count(*)::int from pg_listening_channels()) as listening`
    })
    const workMem = await select(url, 'show work_mem')
    await migrateAll({ url, ...parts, sets: [{ owner: 'a', schema: 'a', folder: first.path }, { owner: 'b', schema: 'b', folder: second.path }] })
    assert.deepEqual(await select(url, 'select * from b.seen'), [...workMem, true, true, 0, 0])
  })

  test('the catalogues are read once before the first file of a session, and once after each', async t => {
    const url = await createDatabase(t, { migrated: 'core' })
    const client = await connect(t, url)
    const query = client.query.bind(client) as (...args: unknown[]) => Promise<unknown>
    let reads = 0
    Object.assign(client, { query: (...args: unknown[]) => {
      if (String(args[0]).includes('from pg_attribute t')) reads++
      return query(...args)
    } })
    const settings = async (): Promise<unknown> => (await client.query('show search_path')).rows.concat((await client.query('show jit')).rows)
    for (const file of ['1', '2', '3']) {
      await client.query(`begin; create schema if not exists notes; set local search_path = notes, public; set local jit = on`)
      const check = await watchOutside(client, file, { schema: 'notes', indexes: [] })
      assert.deepEqual(await settings(), [{ search_path: 'notes, public' }, { jit: 'on' }])
      await client.query(`create table table_${file} ()`)
      await check()
      await client.query('commit')
    }
    assert.equal(reads, 4)
    await client.query('begin')
    const check = await watchOutside(client, '4', { schema: 'notes', indexes: [] })
    await client.query('alter table public.users drop column display_name cascade')
    await assert.rejects(check(), /4 was refused[^]*changes column/)
    await client.query('rollback')
  })

  test('what another session changes meanwhile is not blamed on the file', async t => {
    const url = await createDatabase(t, { migrated: 'core' })
    const other = await connect(t, url)
    const folder = createFolder(t, { '001_a.sql': 'create table a (); select pg_sleep(1.5); create table b ()' })
    await other.query(`create role gone_${role}; alter role gone_${role} set work_mem = '1MB'`)
    const migrating = createNotes(url, folder).up()
    await (async () => {
      for (;;) {
        const { rowCount } = await other.query(`select from pg_stat_activity where query like '%pg_sleep(1.5)%' and pid <> pg_backend_pid() and datname = current_database()`)
        if (rowCount === 1) return
      }
    })()
    await other.query(`create table public.theirs (); create role ${role}other; alter table users add column theirs int; insert into audit_log (actor_id, actor_name, action, resource) values (gen_random_uuid(), 'a', 'a', 'b')`)
    await other.query(`drop role ${role}other, gone_${role}`)
    assert.deepEqual(await migrating, ['001_a'])
  })

  test('the plugins of this repository migrate, up and down', async t => {
    const url = await createDatabase(t, { migrated: 'core' })
    for (const owner of ['notes', 'notify', 'projects', 'secrets']) {
      const migrations = createMigrations({ url, owner, schema: owner, folder: join(import.meta.dirname, '../../../plugins', owner, 'migrations'), ...parts })
      const names = await migrations.up()
      assert.ok(names.length > 0)
      assert.deepEqual(await migrations.down(names.length), names.toReversed())
      assert.deepEqual(await migrations.up(), names)
    }
  })
})
