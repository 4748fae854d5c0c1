-- Agents at work in a project, and what was said.

create table agent_sessions (
  id              uuid primary key default gen_random_uuid(),
  project_id      uuid not null references projects on delete cascade,
  user_id         uuid not null references users,
  agent_user_id   uuid references users,
  prompt          text not null,
  status          text not null default 'pending' check (status in ('pending', 'running', 'completed', 'failed', 'stopped')),
  branch          text,
  pod_name        text,
  provider        text not null default 'claude-code',
  provider_config jsonb,
  cost_tokens     bigint,
  cost_usd        numeric(10,4),
  created_at      timestamptz not null default now(),
  finished_at     timestamptz
);

create index on agent_sessions (project_id);
create index on agent_sessions (status);
create index on agent_sessions (user_id);

create table agent_messages (
  id         uuid primary key default gen_random_uuid(),
  session_id uuid not null references agent_sessions on delete cascade,
  role       text not null check (role in ('user', 'assistant', 'system', 'tool')),
  content    text not null,
  metadata   jsonb,
  created_at timestamptz not null default now()
);
