-- Repositories that hold the deployed state.

create table ops_repos (
  id              uuid primary key default gen_random_uuid(),
  name            text not null unique,
  repo_url        text not null,
  branch          text not null default 'main',
  path            text not null default '/',
  sync_interval_s integer not null default 60,
  created_at      timestamptz not null default now()
);
