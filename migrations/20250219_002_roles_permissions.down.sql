drop table role_permissions;
drop table permissions;
drop table roles;
