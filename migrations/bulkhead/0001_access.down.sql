drop table bulkhead.user_key, bulkhead.password_link, bulkhead.known_network, bulkhead.rate_limit, bulkhead.access_epoch;
