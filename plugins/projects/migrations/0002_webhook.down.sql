drop table projects.delivery;
drop table projects.webhook_state;
