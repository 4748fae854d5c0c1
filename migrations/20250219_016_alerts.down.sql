drop table alert_events;
drop table alert_rules;
