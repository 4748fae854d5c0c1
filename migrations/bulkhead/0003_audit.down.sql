-- The function and the rule use the tables. A start creates both again.
drop function if exists bulkhead.delete_archived_audit(text);
drop rule if exists audit_log_keep_unarchived on public.audit_log;
drop table bulkhead.audit_source, bulkhead.archive_row;
