drop table notify.webhook;
drop table notify.gathered;
drop table notify.preference;
drop table notify.delivery;
drop index public.entry_listed;
drop table notify.entry;
drop table notify.inbox;
