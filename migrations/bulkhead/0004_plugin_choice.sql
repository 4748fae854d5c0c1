-- What operators have decided about plugins.

select pg_advisory_xact_lock(hashtextextended('bulkhead plugin choices', 0));

create table if not exists bulkhead.plugin_choice (
  plugin      text primary key,
  is_disabled boolean not null default false,
  reason      text,
  -- How often operators have reloaded it. A replica that has done fewer reloads still has one to do.
  reloads     integer not null default 0,
  changed_by  text not null,
  changed_at  timestamptz not null default now()
);
