alter table user_roles drop constraint user_roles_project_id_fkey;
alter table delegations drop constraint delegations_project_id_fkey;
alter table api_tokens drop constraint api_tokens_project_id_fkey;

-- What held in one project only goes with it; a row left behind would keep this file from going up again.
delete from user_roles where project_id is not null;
delete from delegations where project_id is not null;
delete from api_tokens where project_id is not null;

drop table projects;
