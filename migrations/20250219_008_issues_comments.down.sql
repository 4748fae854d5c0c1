drop table comments;
drop table issues;
