drop table secrets.deletion;
drop table secrets.version;
