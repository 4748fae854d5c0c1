-- Projects that were deleted, and the names they gave up: what an admin restores them from.

create table projects.deletion (
  project_id uuid primary key references public.projects (id) on delete cascade,
  name       text not null,
  deleted_by uuid not null references public.users (id),
  deleted_at timestamptz not null default now()
);

create index deletion_deleted_at on projects.deletion (deleted_at desc, project_id desc);
