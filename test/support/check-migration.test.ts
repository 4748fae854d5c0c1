// The check that a migration says so when it breaks code of an older version.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findBreaks } from './check-migration.ts'

const find = (text: string, breaks?: string): string[] => findBreaks({ name: '002_x', path: 'x/002_x.sql', text, breaks })

test('a migration that drops, renames, changes a type or adds a rule is refused without the line', () => {
  for (const text of [
    'drop table a', 'drop view if exists a', 'alter table a drop column b', 'alter table a drop b', 'alter table public.a drop constraint c', 'alter table a alter b drop default',
    'truncate a', 'alter table a rename to b', 'alter table a rename b to c', 'alter table a set schema s', 'alter type t rename value \'x\' to \'y\'',
    'alter table a alter column b type bigint', 'alter table a alter b set data type bigint', 'alter table "a" alter column "b" type bigint using b::bigint',
    'alter table a alter column b set not null', 'alter table a add constraint c check (b > 0)', 'alter table a add check (b > 0)', 'alter table a add unique (b)',
    'alter table a add foreign key (b) references c', 'create unique index on a (b)', 'create unique index i on a (b)', 'alter table a add column b int not null',
    'alter table a add b int not null', 'alter table a add column if not exists b int not null', 'alter table a add column c int, add column b int not null',
    'create trigger t before insert on a for each row execute function f()', 'create table b (); alter table a drop column c', 'create or replace rule r as on insert to a do nothing',
    'alter table a enable row level security', 'revoke insert on a from b'
  ]) {
    assert.equal(find(text).length, 1, text)
    assert.deepEqual(find(text, '1.4.0'), [], text)
  }
})

test('what old code does not notice needs no line', () => {
  for (const text of [
    'create table a (b int not null unique)', 'alter table a add column b int', 'alter table a add column b int not null default 0', 'create index on a (b)',
    'alter table a alter column b drop not null', 'alter table a alter column b set default 1', 'insert into a values (1)', '-- drop table a\nselect \'drop table a\'',
    'create table a (); alter table a add check (true); create unique index on a (b)', 'create table s.a (b int); alter table s.a alter b type bigint',
    'alter table a add column b int generated always as (c) stored not null', 'alter type t add value \'x\'', 'grant select on a to b'
  ]) assert.deepEqual(find(text), [], text)
})
