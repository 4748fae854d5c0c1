-- Traces, logs and metrics of the platform and of what it runs.

create table traces (
  id          uuid primary key default gen_random_uuid(),
  trace_id    text not null unique,
  project_id  uuid references projects,
  session_id  uuid references agent_sessions,
  user_id     uuid references users,
  root_span   text not null,
  service     text not null,
  status      text not null default 'ok' check (status in ('ok', 'error', 'unset')),
  duration_ms integer,
  started_at  timestamptz not null,
  finished_at timestamptz,
  created_at  timestamptz not null default now()
);

create table spans (
  id             uuid primary key default gen_random_uuid(),
  trace_id       text not null,
  span_id        text not null unique,
  parent_span_id text,
  name           text not null,
  service        text not null,
  kind           text not null default 'internal' check (kind in ('internal', 'server', 'client', 'producer', 'consumer')),
  status         text not null default 'ok' check (status in ('ok', 'error', 'unset')),
  attributes     jsonb,
  events         jsonb,
  duration_ms    integer,
  started_at     timestamptz not null,
  finished_at    timestamptz
);

create index on spans (trace_id);

create table log_entries (
  id         uuid primary key default gen_random_uuid(),
  timestamp  timestamptz not null default now(),
  trace_id   text,
  span_id    text,
  project_id uuid references projects,
  session_id uuid references agent_sessions,
  user_id    uuid references users,
  service    text not null,
  level      text not null default 'info' check (level in ('trace', 'debug', 'info', 'warn', 'error', 'fatal')),
  message    text not null,
  attributes jsonb,
  namespace  text,
  pod        text,
  container  text
);

create index on log_entries (timestamp desc);
create index on log_entries (level, timestamp desc);
create index on log_entries (project_id, timestamp desc);
create index on log_entries (session_id, timestamp desc);
create index on log_entries (trace_id);

create table metric_series (
  id          uuid primary key default gen_random_uuid(),
  name        text not null,
  labels      jsonb not null default '{}',
  metric_type text not null default 'gauge' check (metric_type in ('gauge', 'counter', 'histogram', 'summary')),
  unit        text,
  project_id  uuid references projects,
  last_value  double precision,
  updated_at  timestamptz not null default now(),
  unique (name, labels)
);

create trigger trg_metric_series_updated_at before update on metric_series
  for each row execute function set_updated_at();

create table metric_samples (
  series_id uuid not null references metric_series on delete cascade,
  timestamp timestamptz not null,
  value     double precision not null,
  primary key (series_id, timestamp)
);
