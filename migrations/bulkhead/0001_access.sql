-- Sign-in and permissions: what the host stores beside `users`, `roles` and the other core tables.
--
-- Versions up to 1.3 created the tables of this folder themselves, so a database may have them already, with rows. A
-- replica of such a version may also start at this moment: it creates them under these locks.

select pg_advisory_xact_lock(hashtextextended('bulkhead access', 0));
select pg_advisory_xact_lock(hashtextextended('bulkhead user keys', 0));

-- This table has one row. Every transaction that changes what a user may do also changes its value.
-- Permissions that were computed under another value are void.
create table if not exists bulkhead.access_epoch (
  one_row boolean primary key default true check (one_row),
  value   bigint not null
);
insert into bulkhead.access_epoch (value) values (1) on conflict do nothing;

-- Counters of attempts, such as failed logins.
create table if not exists bulkhead.rate_limit (
  key     text primary key,
  taken   integer not null,
  ends_at timestamptz not null
);
create index if not exists rate_limit_ends_at on bulkhead.rate_limit (ends_at);

-- The networks from which a user has signed in.
create table if not exists bulkhead.known_network (
  user_id uuid not null,
  network text not null,
  seen_at timestamptz not null,
  primary key (user_id, network)
);

-- The link by which a user may set a new password. It is void once `updated_at` of the user differs.
create table if not exists bulkhead.password_link (
  user_id         uuid primary key,
  token_hash      text not null unique,
  user_updated_at timestamptz not null,
  expires_at      timestamptz not null
);

-- Names and e-mail addresses without regard to case. Every start adds what an earlier version wrote without them.
-- `rank` is 0, except for users whose key another user already had then.
create table if not exists bulkhead.user_key (
  kind    text not null,
  key     text not null,
  rank    integer not null,
  user_id uuid not null,
  value   text not null,
  primary key (kind, key, rank)
);
create index if not exists user_key_pair on bulkhead.user_key (kind, key) where rank > 0;
