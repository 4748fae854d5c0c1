-- Rules over the metrics, and when they fired.

create table alert_rules (
  id              uuid primary key default gen_random_uuid(),
  name            text not null,
  description     text,
  query           text not null,
  condition       text not null,
  threshold       double precision,
  for_seconds     integer not null default 60,
  severity        text not null default 'warning' check (severity in ('info', 'warning', 'critical')),
  notify_channels text[] not null default '{}',
  project_id      uuid references projects,
  enabled         boolean not null default true,
  created_at      timestamptz not null default now()
);

create table alert_events (
  id          uuid primary key default gen_random_uuid(),
  rule_id     uuid not null references alert_rules on delete cascade,
  status      text not null check (status in ('firing', 'resolved')),
  value       double precision,
  message     text,
  created_at  timestamptz not null default now(),
  resolved_at timestamptz
);

create index on alert_events (status, created_at desc);
