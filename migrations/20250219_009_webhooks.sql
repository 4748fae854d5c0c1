-- Addresses that are told about events of a project.

create table webhooks (
  id         uuid primary key default gen_random_uuid(),
  project_id uuid not null references projects on delete cascade,
  url        text not null,
  events     text[] not null default '{}',
  secret     text,
  active     boolean not null default true,
  created_at timestamptz not null default now()
);
