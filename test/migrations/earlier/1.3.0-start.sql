-- What version 1.3.0 runs at such a start in addition to 1.2.0: the statements of its core/access/access-tables.ts,
-- audit/audit-source.ts and user/user-key.ts.

begin;
select pg_advisory_xact_lock(hashtextextended('bulkhead access', 0));
create table if not exists bulkhead.password_link (
  user_id         uuid primary key,
  token_hash      text not null unique,
  user_updated_at timestamptz not null,
  expires_at      timestamptz not null
);
create table if not exists bulkhead.audit_source (
  audit_id     uuid primary key,
  plugin       text not null,
  is_by_plugin boolean not null
);
commit;

begin;
select pg_advisory_xact_lock(hashtextextended('bulkhead user keys', 0));
create table if not exists bulkhead.user_key (
  kind    text not null,
  key     text not null,
  rank    integer not null,
  user_id uuid not null,
  value   text not null,
  primary key (kind, key, rank)
);
create index if not exists user_key_pair on bulkhead.user_key (kind, key) where rank > 0;
commit;

begin;
select pg_advisory_xact_lock(hashtextextended('bulkhead access', 0));
revoke update, delete, truncate on bulkhead.audit_source from current_user, public;
create or replace rule audit_source_keep as on update to bulkhead.audit_source where old.audit_id is not null do instead nothing;
create or replace rule audit_source_keep_unarchived as on delete to bulkhead.audit_source
where not exists (select from bulkhead.archive_row r where r.source = 'audit_log' and r.row_id = old.audit_id) do instead nothing;
commit;
