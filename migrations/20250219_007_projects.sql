-- Projects: what most of the platform belongs to.

create table projects (
  id                uuid primary key default gen_random_uuid(),
  owner_id          uuid not null references users on delete restrict,
  name              text not null,
  display_name      text,
  description       text,
  visibility        text not null default 'private' check (visibility in ('private', 'internal', 'public')),
  default_branch    text not null default 'main',
  repo_path         text,
  is_active         boolean not null default true,
  next_issue_number integer not null default 0,
  next_mr_number    integer not null default 0,
  created_at        timestamptz not null default now(),
  updated_at        timestamptz not null default now(),
  unique (owner_id, name)
);

create trigger trg_projects_updated_at before update on projects
  for each row execute function set_updated_at();

alter table user_roles add foreign key (project_id) references projects on delete cascade;
alter table delegations add foreign key (project_id) references projects on delete cascade;
alter table api_tokens add foreign key (project_id) references projects on delete cascade;
