-- Notes. The schema is the plugin's own and is there already; `users` is the host's.

create table notes.note (
  id         uuid primary key default gen_random_uuid(),
  author_id  uuid not null references public.users (id) on delete cascade,
  title      text not null check (char_length(title) between 1 and 500),
  body       text not null default '' check (char_length(body) <= 100000),
  is_shared  boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create index note_author on notes.note (author_id, created_at desc);
create index note_shared on notes.note (created_at desc) where is_shared;

create trigger note_updated_at before update on notes.note
  for each row execute function public.set_updated_at();
