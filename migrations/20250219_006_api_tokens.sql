-- Tokens for programs; only the hash is kept.

create table api_tokens (
  id           uuid primary key default gen_random_uuid(),
  user_id      uuid not null references users on delete cascade,
  name         text not null,
  token_hash   text not null unique,
  scopes       text[] not null default '{}',
  project_id   uuid,
  last_used_at timestamptz,
  expires_at   timestamptz,
  created_at   timestamptz not null default now()
);

create index on api_tokens (user_id);
