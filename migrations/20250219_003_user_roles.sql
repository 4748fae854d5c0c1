-- Which user has which role, everywhere or in one project.

create table user_roles (
  id         uuid primary key default gen_random_uuid(),
  user_id    uuid not null references users on delete cascade,
  role_id    uuid not null references roles on delete cascade,
  project_id uuid,
  granted_by uuid references users,
  created_at timestamptz not null default now(),
  unique nulls not distinct (user_id, role_id, project_id)
);

create index on user_roles (user_id);
