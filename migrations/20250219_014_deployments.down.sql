drop table deployment_history;
drop table deployments;
