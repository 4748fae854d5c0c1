-- What the table of webhooks has no room for: how a webhook fares, and what was sent to it.

create table projects.webhook_state (
  webhook_id   uuid primary key references public.webhooks (id) on delete cascade,
  -- In a row.
  failures     integer not null default 0,
  disabled_at  timestamptz,
  disabled_why text
);

create table projects.delivery (
  id              uuid primary key default gen_random_uuid(),
  webhook_id      uuid not null references public.webhooks (id) on delete cascade,
  redelivery_of   uuid,
  event           text not null,
  -- To the byte: what is signed and sent, in every attempt.
  payload         text not null,
  status          text not null default 'pending' check (status in ('pending', 'delivered', 'failed', 'cancelled')),
  attempts        integer not null default 0,
  -- Of the last attempt: what was answered, or why nothing was.
  answered        integer,
  error           text,
  duration_ms     integer,
  attempted_at    timestamptz,
  next_attempt_at timestamptz,
  created_at      timestamptz not null default now()
);

create index delivery_webhook on projects.delivery (webhook_id, created_at desc, id desc);
