-- Who did what. An actor may be gone, so actor_id references nothing.

create table audit_log (
  id          uuid primary key default gen_random_uuid(),
  actor_id    uuid not null,
  actor_name  text not null,
  action      text not null,
  resource    text not null,
  resource_id uuid,
  project_id  uuid references projects on delete set null,
  detail      jsonb,
  ip_addr     inet,
  created_at  timestamptz not null default now()
);

create index on audit_log (actor_id, created_at desc);
create index on audit_log (resource, resource_id, created_at desc);
