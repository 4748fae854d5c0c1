drop table ops_repos;
