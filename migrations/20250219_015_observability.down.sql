drop table metric_samples;
drop table metric_series;
drop table log_entries;
drop table spans;
drop table traces;
