drop table bulkhead.plugin_choice;
