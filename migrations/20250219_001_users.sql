-- The people and agents that use the platform.

create function set_updated_at() returns trigger language plpgsql as $$
begin
  new.updated_at := now();
  return new;
end
$$;

create table users (
  id            uuid primary key default gen_random_uuid(),
  name          text not null unique,
  display_name  text,
  email         text not null unique,
  password_hash text not null,
  is_active     boolean not null default true,
  created_at    timestamptz not null default now(),
  updated_at    timestamptz not null default now()
);

create trigger trg_users_updated_at before update on users
  for each row execute function set_updated_at();
