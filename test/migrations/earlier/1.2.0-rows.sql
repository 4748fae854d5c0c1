-- Rows in every table that version 1.2.0 makes, and its function for archived entries.

update bulkhead.access_epoch set value = 41;
insert into bulkhead.rate_limit values ('login:ada', 3, '2026-11-01T10:00:00Z');
insert into bulkhead.known_network values ('00000000-0000-4000-8000-000000000001', '192.0.2.0/24', '2026-11-01T10:00:00Z');
insert into bulkhead.master_key_check (value) values ('mark');
insert into bulkhead.master_key values ('key-1', '2026-10-01T10:00:00Z'), ('key-2', '2026-11-01T10:00:00Z');
insert into bulkhead.master_key_use values ('00000000-0000-4000-8000-000000000002', 'key-2', '2026-11-01T10:00:00Z');
insert into bulkhead.sealed values ('secrets', 'values', 'key-2', 7, '2026-11-01T10:00:00Z'), ('projects', 'webhooks', null, null, null);
insert into bulkhead.archive_row values ('audit_log', '00000000-0000-4000-8000-000000000003', 'audit-log/2026-09-01/a.jsonl.gz');
insert into bulkhead.plugin_choice values ('notes', true, 'too slow', 2, 'ada', '2026-11-01T10:00:00Z');

create function bulkhead.delete_archived_audit (archive text) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  gone bigint;
begin
  grant delete on public.audit_log to current_user;
  delete from public.audit_log a using bulkhead.archive_row r
  where r.source = 'audit_log' and r.object = archive and a.id = r.row_id and a.created_at < now() - interval '30 days';
  get diagnostics gone = row_count;
  revoke delete on public.audit_log from current_user;
  return gone;
end
$$;
revoke all on function bulkhead.delete_archived_audit(text) from public;
