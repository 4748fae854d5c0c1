drop table notes.note;
