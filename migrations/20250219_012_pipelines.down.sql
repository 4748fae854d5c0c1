drop table artifacts;
drop table pipeline_steps;
drop table pipelines;
