-- Issues, numbered within their project, and the comments on them and on merge requests.

create table issues (
  id          uuid primary key default gen_random_uuid(),
  project_id  uuid not null references projects on delete cascade,
  number      integer not null,
  author_id   uuid not null references users,
  title       text not null,
  body        text,
  status      text not null default 'open' check (status in ('open', 'closed')),
  labels      text[] not null default '{}',
  assignee_id uuid references users,
  created_at  timestamptz not null default now(),
  updated_at  timestamptz not null default now(),
  unique (project_id, number)
);

create trigger trg_issues_updated_at before update on issues
  for each row execute function set_updated_at();

create table comments (
  id         uuid primary key default gen_random_uuid(),
  project_id uuid not null references projects on delete cascade,
  issue_id   uuid references issues on delete cascade,
  mr_id      uuid,
  author_id  uuid not null references users,
  body       text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint comments_target_check check (issue_id is not null or mr_id is not null)
);

create trigger trg_comments_updated_at before update on comments
  for each row execute function set_updated_at();
