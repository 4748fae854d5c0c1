-- What version 1.2.0 (commit e66aa71) runs at a start that finds a table missing, or the audit log open: the statements
-- of its core/access/prepare.ts and core/host/choice.ts, each transaction under the lock that it has there.

begin;
select pg_advisory_xact_lock(hashtextextended('bulkhead access', 0));
create schema if not exists bulkhead;
create table if not exists bulkhead.access_epoch (
  one_row boolean primary key default true check (one_row),
  value   bigint not null
);
insert into bulkhead.access_epoch (value) values (1) on conflict do nothing;
create table if not exists bulkhead.rate_limit (
  key     text primary key,
  taken   integer not null,
  ends_at timestamptz not null
);
create index if not exists rate_limit_ends_at on bulkhead.rate_limit (ends_at);
create table if not exists bulkhead.known_network (
  user_id uuid not null,
  network text not null,
  seen_at timestamptz not null,
  primary key (user_id, network)
);
create table if not exists bulkhead.master_key_check (
  one_row boolean primary key default true check (one_row),
  value   text not null
);
create table if not exists bulkhead.master_key (
  key_id text primary key,
  since  timestamptz not null default now()
);
create table if not exists bulkhead.master_key_use (
  replica uuid primary key,
  key_id  text not null,
  seen_at timestamptz not null default now()
);
create table if not exists bulkhead.sealed (
  plugin     text not null,
  name       text not null,
  key_id     text,
  left_over  bigint,
  counted_at timestamptz,
  primary key (plugin, name)
);
create table if not exists bulkhead.archive_row (
  source text not null,
  row_id uuid not null,
  object text not null,
  primary key (source, row_id)
);
commit;

begin;
select pg_advisory_xact_lock(hashtextextended('bulkhead access', 0));
revoke update, delete, truncate on audit_log from current_user, public;
grant update (project_id) on audit_log to current_user;
drop rule if exists audit_log_keep_rows on audit_log;
create or replace rule audit_log_keep_unarchived as on delete to audit_log
where not exists (select from bulkhead.archive_row r where r.source = 'audit_log' and r.row_id = old.id) do instead nothing;
create or replace rule audit_log_keep as on update to audit_log
where new.project_id is not null or exists (select from projects p where p.id = old.project_id) do instead nothing;
commit;

begin;
select pg_advisory_xact_lock(hashtextextended('bulkhead plugin choices', 0));
create table if not exists bulkhead.plugin_choice (
  plugin      text primary key,
  is_disabled boolean not null default false,
  reason      text,
  reloads     integer not null default 0,
  changed_by  text not null,
  changed_at  timestamptz not null default now()
);
commit;
