-- A permission that one user lends another, everywhere or in one project.

create table delegations (
  id            uuid primary key default gen_random_uuid(),
  delegator_id  uuid not null references users on delete cascade,
  delegate_id   uuid not null references users on delete cascade,
  permission_id uuid not null references permissions on delete cascade,
  project_id    uuid,
  expires_at    timestamptz,
  reason        text,
  created_at    timestamptz not null default now(),
  revoked_at    timestamptz,
  unique nulls not distinct (delegator_id, delegate_id, permission_id, project_id)
);

create index on delegations (delegate_id);
