-- Who is signed in; only the hash of a session token is kept.

create table auth_sessions (
  id         uuid primary key default gen_random_uuid(),
  user_id    uuid not null references users on delete cascade,
  token_hash text not null unique,
  ip_addr    inet,
  user_agent text,
  expires_at timestamptz not null,
  created_at timestamptz not null default now()
);

create index on auth_sessions (user_id);
