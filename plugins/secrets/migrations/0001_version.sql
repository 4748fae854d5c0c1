-- Secrets themselves are in the host's table `secrets`, which has room for one value each. Here are the versions that are kept, the current one too,
-- and who has deleted what.

create table secrets.version (
  secret_id       uuid not null references public.secrets (id) on delete cascade,
  version         integer not null check (version > 0),
  scope           text not null check (scope in ('pipeline', 'agent', 'deploy', 'all')),
  -- Null for the current version, whose envelope is in public.secrets.
  encrypted_value bytea,
  written_by      uuid references public.users (id) on delete set null,
  written_at      timestamptz not null default now(),
  primary key (secret_id, version)
);

create table secrets.deletion (
  secret_id  uuid primary key references public.secrets (id) on delete cascade,
  deleted_by uuid references public.users (id) on delete set null,
  deleted_at timestamptz not null default now()
);

create index deletion_deleted_at on secrets.deletion (deleted_at);
