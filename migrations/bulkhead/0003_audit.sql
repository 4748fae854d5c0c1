-- What the host stores beside `audit_log`. Every start takes away the right to change these rows
-- (core/access/audit/audit-seal.ts).

select pg_advisory_xact_lock(hashtextextended('bulkhead access', 0));

-- The plugin that wrote an entry. There is no foreign key: a deletion by one would need the rights that are taken away.
create table if not exists bulkhead.audit_source (
  audit_id     uuid primary key,
  plugin       text not null,
  is_by_plugin boolean not null
);

-- Which rows are being moved into which archive object, from before the object is written until the rows are deleted
-- from their table.
create table if not exists bulkhead.archive_row (
  source text not null,
  row_id uuid not null,
  object text not null,
  primary key (source, row_id)
);
