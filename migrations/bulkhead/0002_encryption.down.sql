drop table bulkhead.sealed, bulkhead.master_key_use, bulkhead.master_key, bulkhead.master_key_check;
