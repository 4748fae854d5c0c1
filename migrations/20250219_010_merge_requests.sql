-- Merge requests, numbered within their project, and their reviews.

create table merge_requests (
  id            uuid primary key default gen_random_uuid(),
  project_id    uuid not null references projects on delete cascade,
  number        integer not null,
  author_id     uuid not null references users,
  source_branch text not null,
  target_branch text not null,
  title         text not null,
  body          text,
  status        text not null default 'open' check (status in ('open', 'merged', 'closed')),
  merged_by     uuid references users,
  merged_at     timestamptz,
  created_at    timestamptz not null default now(),
  updated_at    timestamptz not null default now(),
  unique (project_id, number)
);

create trigger trg_merge_requests_updated_at before update on merge_requests
  for each row execute function set_updated_at();

create table mr_reviews (
  id          uuid primary key default gen_random_uuid(),
  project_id  uuid not null references projects on delete cascade,
  mr_id       uuid not null references merge_requests on delete cascade,
  reviewer_id uuid not null references users,
  verdict     text not null check (verdict in ('approve', 'request_changes', 'comment')),
  body        text,
  created_at  timestamptz not null default now()
);

alter table comments add foreign key (mr_id) references merge_requests on delete cascade;
