-- Pipelines, their steps, and what they leave behind.

create table pipelines (
  id           uuid primary key default gen_random_uuid(),
  project_id   uuid not null references projects on delete cascade,
  trigger      text not null check (trigger in ('push', 'api', 'schedule', 'mr')),
  git_ref      text not null,
  commit_sha   text,
  status       text not null default 'pending' check (status in ('pending', 'running', 'success', 'failure', 'cancelled')),
  triggered_by uuid references users,
  started_at   timestamptz,
  finished_at  timestamptz,
  created_at   timestamptz not null default now()
);

create index on pipelines (project_id, created_at desc);
create index on pipelines (status);

create table pipeline_steps (
  id          uuid primary key default gen_random_uuid(),
  pipeline_id uuid not null references pipelines on delete cascade,
  project_id  uuid not null references projects on delete cascade,
  step_order  integer not null,
  name        text not null,
  image       text not null,
  commands    text[] not null default '{}',
  status      text not null default 'pending' check (status in ('pending', 'running', 'success', 'failure', 'skipped')),
  log_ref     text,
  exit_code   integer,
  duration_ms integer,
  created_at  timestamptz not null default now()
);

create table artifacts (
  id           uuid primary key default gen_random_uuid(),
  pipeline_id  uuid not null references pipelines on delete cascade,
  name         text not null,
  minio_path   text not null,
  content_type text,
  size_bytes   bigint,
  expires_at   timestamptz,
  created_at   timestamptz not null default now()
);
