drop table agent_messages;
drop table agent_sessions;
