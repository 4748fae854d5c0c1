-- Rows in every table that version 1.3.0 makes in addition to 1.2.0.

insert into bulkhead.password_link values ('00000000-0000-4000-8000-000000000001', 'hash', '2026-11-01T10:00:00Z', '2026-11-01T11:00:00Z');
insert into bulkhead.audit_source values ('00000000-0000-4000-8000-000000000003', 'invoices', false);
insert into bulkhead.user_key values
  ('name', 'ada', 0, '00000000-0000-4000-8000-000000000001', 'Ada'), ('name', 'ada', 1, '00000000-0000-4000-8000-000000000004', 'ada');
