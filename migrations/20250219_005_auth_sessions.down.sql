drop table auth_sessions;
