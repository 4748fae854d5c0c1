-- What can be permitted, and the roles that bundle it.

create table roles (
  id          uuid primary key default gen_random_uuid(),
  name        text not null unique,
  description text,
  is_system   boolean not null default false,
  created_at  timestamptz not null default now()
);

create table permissions (
  id          uuid primary key default gen_random_uuid(),
  name        text not null unique,
  resource    text not null,
  action      text not null,
  description text
);

create table role_permissions (
  role_id       uuid not null references roles on delete cascade,
  permission_id uuid not null references permissions on delete cascade,
  primary key (role_id, permission_id)
);
