-- The master keys in use, and the data that is sealed under them.

select pg_advisory_xact_lock(hashtextextended('bulkhead access', 0));

-- Shows whether a host has the right master key. This table has one row.
create table if not exists bulkhead.master_key_check (
  one_row boolean primary key default true check (one_row),
  value   text not null
);

-- Everything that is sealed is under one of these keys.
create table if not exists bulkhead.master_key (
  key_id text primary key,
  since  timestamptz not null default now()
);

-- The key under which each replica seals.
create table if not exists bulkhead.master_key_use (
  replica uuid primary key,
  key_id  text not null,
  seen_at timestamptz not null default now()
);

-- The sealed data of plugins. `left_over` is how much of it was not under `key_id` at `counted_at`.
-- The three columns are null until the first count.
create table if not exists bulkhead.sealed (
  plugin     text not null,
  name       text not null,
  key_id     text,
  left_over  bigint,
  counted_at timestamptz,
  primary key (plugin, name)
);
