// The host's own tables for access, beside the core schema: the epoch of permissions, counters of attempts, the mark of the master key.

import { sql, z } from '../contract/index.ts'
import type { Postgres, Transaction } from '../contract/index.ts'

/** Makes what is missing; one query when nothing is. Many hosts may do so at once. */
export async function prepareAccess (postgres: Postgres): Promise<void> {
  const isPrepared = await postgres.oneFirst(sql.type(z.object({ isPrepared: z.boolean() }))`
    select count(to_regclass(name)) = 3 as "isPrepared"
    from unnest(array['bulkhead.access_epoch', 'bulkhead.rate_limit', 'bulkhead.master_key_check']) as name
  `)
  if (!isPrepared) await postgres.transaction(createTables)
}

async function createTables (tx: Transaction): Promise<void> {
  await lockAccess(tx)
  await tx.query(sql.type(z.object({}))`create schema if not exists bulkhead`)
  // One row. Its value changes in the transaction of every change to what someone may do: what was computed under another value is void.
  await tx.query(sql.type(z.object({}))`
    create table if not exists bulkhead.access_epoch (
      one_row boolean primary key default true check (one_row),
      value   bigint not null
    )
  `)
  await tx.query(sql.type(z.object({}))`insert into bulkhead.access_epoch (value) values (1) on conflict do nothing`)
  await tx.query(sql.type(z.object({}))`
    create table if not exists bulkhead.rate_limit (
      key     text primary key,
      taken   integer not null,
      ends_at timestamptz not null
    )
  `)
  await tx.query(sql.type(z.object({}))`create index if not exists rate_limit_ends_at on bulkhead.rate_limit (ends_at)`)
  await tx.query(sql.type(z.object({}))`
    create table if not exists bulkhead.master_key_check (
      one_row boolean primary key default true check (one_row),
      value   text not null
    )
  `)
}

/** Hosts that start at once set up access one after the other. Held until the transaction ends. */
export async function lockAccess (tx: Transaction): Promise<void> {
  await tx.query(sql.type(z.object({ isLocked: z.boolean() }))`
    select true as "isLocked" from pg_advisory_xact_lock(hashtextextended('bulkhead access', 0))
  `)
}
