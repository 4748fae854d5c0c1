-- What should run where, what does, and how it came to be.

create table deployments (
  id              uuid primary key default gen_random_uuid(),
  project_id      uuid not null references projects on delete cascade,
  environment     text not null default 'production' check (environment in ('preview', 'staging', 'production')),
  ops_repo_id     uuid references ops_repos,
  manifest_path   text,
  image_ref       text not null,
  values_override jsonb,
  desired_status  text not null default 'active' check (desired_status in ('active', 'stopped', 'rollback')),
  current_status  text not null default 'pending' check (current_status in ('pending', 'syncing', 'healthy', 'degraded', 'failed')),
  current_sha     text,
  deployed_by     uuid references users,
  deployed_at     timestamptz,
  created_at      timestamptz not null default now(),
  updated_at      timestamptz not null default now(),
  unique (project_id, environment)
);

create index on deployments (desired_status, current_status);

create trigger trg_deployments_updated_at before update on deployments
  for each row execute function set_updated_at();

create table deployment_history (
  id            uuid primary key default gen_random_uuid(),
  deployment_id uuid not null references deployments on delete cascade,
  image_ref     text not null,
  ops_repo_sha  text,
  action        text not null check (action in ('deploy', 'rollback', 'stop', 'scale')),
  status        text not null check (status in ('success', 'failure')),
  deployed_by   uuid references users,
  message       text,
  created_at    timestamptz not null default now()
);
