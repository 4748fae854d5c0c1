alter table comments drop constraint comments_mr_id_fkey;

-- A comment on a merge request goes with it; left behind it would keep this file from going up again.
delete from comments where mr_id is not null;

drop table mr_reviews;
drop table merge_requests;
