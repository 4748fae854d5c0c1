-- What the core table `notifications` has no room for. A row there is one notification on one channel.

-- Locked by whoever adds to it, so a person's numbers are in the order of the commits, and a limit holds however many add at once.
create table notify.inbox (
  user_id  uuid primary key references public.users (id) on delete cascade,
  last_seq bigint not null default 0,
  -- When the person was told something, within the last hour or so.
  recent   timestamptz[] not null default '{}'
);

-- What is in it, counted for each person, for whoever reads on from a number.
create table notify.entry (
  notification_id uuid primary key references public.notifications (id) on delete cascade,
  user_id         uuid not null references public.users (id) on delete cascade,
  seq             bigint not null,
  unique (user_id, seq)
);

create index entry_listed on public.notifications (user_id, created_at desc) where channel = 'in_app';

-- How what goes out is getting on.
create table notify.delivery (
  notification_id uuid primary key references public.notifications (id) on delete cascade,
  project_id      uuid,
  html            text,
  attempts        integer not null default 0,
  error           text check (char_length(error) <= 2000),
  sent_at         timestamptz
);

-- Without a row a channel works at once; `*` stands for every kind that has none of its own.
create table notify.preference (
  user_id uuid not null references public.users (id) on delete cascade,
  kind    text not null,
  channel text not null check (channel in ('in_app', 'email', 'webhook')),
  mode    text not null check (mode in ('now', 'hourly', 'daily', 'off')),
  primary key (user_id, kind, channel),
  check (channel = 'email' or mode in ('now', 'off'))
);

-- Waits for the person's next digest.
create table notify.gathered (
  id         uuid primary key,
  user_id    uuid not null references public.users (id) on delete cascade,
  kind       text not null,
  subject    text not null,
  project_id uuid,
  in_app     boolean not null,
  email      boolean not null,
  due_at     timestamptz not null,
  created_at timestamptz not null default now()
);

create index gathered_due on notify.gathered (due_at);
create index gathered_user on notify.gathered (user_id);

create table notify.webhook (
  user_id    uuid primary key references public.users (id) on delete cascade,
  url        text not null check (char_length(url) <= 2000),
  created_at timestamptz not null default now()
);
