-- What a user is told, and by which channel.

create table notifications (
  id                uuid primary key default gen_random_uuid(),
  user_id           uuid not null references users on delete cascade,
  notification_type text not null,
  subject           text not null,
  body              text,
  channel           text not null default 'in_app' check (channel in ('in_app', 'email', 'webhook')),
  status            text not null default 'pending' check (status in ('pending', 'sent', 'read', 'failed')),
  ref_type          text,
  ref_id            uuid,
  created_at        timestamptz not null default now()
);

create index on notifications (user_id, status);
