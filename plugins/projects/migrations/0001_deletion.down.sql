-- What was deleted stays so, under the name it was given then.

drop table projects.deletion;
