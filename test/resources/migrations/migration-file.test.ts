// What a folder of migrations may hold, and what is said about what it may not.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { findTextProblems, loadDown, loadMigrations, splitStatements } from '../../../core/resources/migrations/migration-file.ts'
import { createFolder } from './migration-folder.ts'

test('files come in the order of their names, each with the one that undoes it', t => {
  const { path } = createFolder(t, {
    '20260102_001_b.sql': 'select 2', '20260101_002_a.sql': 'select 1', '20260101_002_a.down.sql': 'select 0', 'README.md': 'not one of them'
  })
  const { files, problems } = loadMigrations(path)
  assert.deepEqual(problems, [])
  assert.deepEqual(files.map(({ name, downPath }) => [name, downPath]), [
    ['20260101_002_a', join(path, '20260101_002_a.down.sql')], ['20260102_001_b', undefined]
  ])
})

test('a folder that is not there holds no migrations', t => {
  assert.deepEqual(loadMigrations(join(createFolder(t).path, 'gone')), { files: [], problems: [] })
})

test('line endings and a byte order mark do not make another migration', t => {
  const hash = (text: string): string | undefined => loadMigrations(createFolder(t, { '001_a.sql': text }).path).files[0]?.sha256
  const unix = hash('select 1;\nselect 2;\n')
  assert.equal(hash('select 1;\r\nselect 2;\r\n'), unix)
  assert.equal(hash('\uFEFFselect 1;\nselect 2;\n'), unix)
  assert.notEqual(hash('select 1;\nselect 3;\n'), unix)
})

const bad: [fact: string, files: Record<string, string | Uint8Array>, said: RegExp[]][] = [
  ['a name without a number', { 'users.sql': 'select 1' }, [/users\.sql is not named like a migration\. Name it <number>_<words>\.sql/]],
  ['a name in capitals', { '001_Users.sql': 'select 1' }, [/001_Users\.sql is not named/]],
  ['numbers of different width', { '10_b.sql': 'select 1', '9_a.sql': 'select 1' }, [/9_a\.sql is numbered 9 where 10_b\.sql beside it is numbered 10\. Give both as many digits/]],
  ['a down file without its migration', { '001_a.down.sql': 'select 1' }, [/001_a\.down\.sql undoes no migration: there is no 001_a\.sql beside it/]],
  ['bytes that are not UTF-8', { '001_a.sql': Uint8Array.of(0xff, 0xfe, 0x41) }, [/001_a\.sql is not UTF-8 text/]],
  ['nothing but comments', { '001_a.sql': '-- select 1;\n/* select 2; */ ;' }, [/001_a\.sql holds no statement/]],
  ['a transaction of its own', { '001_a.sql': '-- a\nBEGIN;\nselect 1;\nCOMMIT;' }, [/001_a\.sql:2 has its own "begin"/, /001_a\.sql:4 has its own "commit"/]],
  ['a start of a transaction', { '001_a.sql': 'start transaction read write; select 1' }, [/has its own "start transaction"/]],
  ['a rollback', { '001_a.sql': 'select 1; rollback' }, [/has its own "rollback"/]],
  ['an index built concurrently', { '001_a.sql': 'select 1;\n\ncreate unique index\n  concurrently on a (b)' }, [/001_a\.sql:3 has "create unique index concurrently", which cannot run in a transaction/]],
  ['a vacuum', { '001_a.sql': 'vacuum full a' }, [/has "vacuum full a", which cannot run in a transaction/]],
  ['two faults', { 'a.sql': 'commit' }, [/a\.sql is not named/, /a\.sql:1 has its own "commit"/]]
]
for (const [fact, files, said] of bad) {
  test(`${fact}: said, with the file and what to do`, t => {
    const loaded = loadMigrations(createFolder(t, files).path)
    const problems = [...loaded.problems, ...loaded.files.flatMap(findTextProblems)]
    assert.equal(problems.length, said.length, problems.join('\n'))
    said.forEach((pattern, index) => assert.match(problems[index] ?? '', pattern))
  })
}

test('a down file is held to the same', t => {
  const { path } = createFolder(t, { '001_a.sql': 'select 1', '001_a.down.sql': 'select 1;\ncommit' })
  assert.match(loadDown(join(path, '001_a.down.sql')).problems.join(), /001_a\.down\.sql:2 has its own "commit"/)
})

test('words in quotes, comments and function bodies are not statements', () => {
  const text = `
    select 'begin; it''s'; select e'it\\'s; begin'; select "a;""begin" from b; select $$begin; commit$$; select $a$ $$ ; $b$ ; $a$;
    /* begin; /* commit; */ commit; */ -- commit;
    create function f() returns int language plpgsql as $body$ begin return 1; end; $body$;
    create or replace function g(a int) returns int begin atomic select case when a > 0 then 1 else 2 end; select 2; end;
    create table end_of (begin_at int, "end" int);
    savepoint a; rollback to savepoint a; rollback to a;
    do $$ begin perform 1; end $$`
  assert.deepEqual(findTextProblems({ path: 'a.sql', text }), [])
  assert.deepEqual(splitStatements(text).map(({ line, words }) => `${line} ${words.split(' ').slice(0, 3).join(' ')}`), [
    '2 select', '2 select', '2 select from b', '2 select', '2 select', '4 create function f', '5 create or replace', '6 create table end_of',
    '7 savepoint a', '7 rollback to savepoint', '7 rollback to a', '8 do'
  ])
})

test('a file with an unclosed quote is one that Postgres refuses, not one that hangs', () => {
  assert.equal(splitStatements(`select 'a; ${'select $$ /* "'.repeat(2_000)}`).length > 0, true)
})
