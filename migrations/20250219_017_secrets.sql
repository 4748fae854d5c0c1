-- Secrets, encrypted by the host; one without a project is for the whole platform.

create table secrets (
  id              uuid primary key default gen_random_uuid(),
  project_id      uuid references projects on delete cascade,
  name            text not null,
  encrypted_value bytea not null,
  scope           text not null default 'pipeline' check (scope in ('pipeline', 'agent', 'deploy', 'all')),
  version         integer not null default 1,
  created_by      uuid references users,
  created_at      timestamptz not null default now(),
  updated_at      timestamptz not null default now(),
  unique (project_id, name)
);

create unique index on secrets (name) where project_id is null;

create trigger trg_secrets_updated_at before update on secrets
  for each row execute function set_updated_at();
