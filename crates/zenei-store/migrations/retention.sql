-- How long rows stay. Applied again whenever the days change.
ALTER TABLE {local:record}{on_cluster} MODIFY TTL toDateTime(heard_at) + INTERVAL {days:record} DAY;

ALTER TABLE {local:operation}{on_cluster} MODIFY TTL toDateTime(heard_at) + INTERVAL {days:operation} DAY;

ALTER TABLE {local:motor_profile}{on_cluster} MODIFY TTL toDateTime(heard_at) + INTERVAL {days:motor_profile} DAY;

ALTER TABLE {local:dead_letter}{on_cluster} MODIFY TTL toDateTime(heard_at) + INTERVAL {days:dead_letter} DAY;

ALTER TABLE {local:gap}{on_cluster} MODIFY TTL toDateTime(at) + INTERVAL {days:gap} DAY;

ALTER TABLE {everywhere:decision}{on_cluster} MODIFY TTL toDateTime(at) + INTERVAL {days:decision} DAY;

ALTER TABLE {local:cohort_hour}{on_cluster} MODIFY TTL hour + INTERVAL {days:cohort_hour} DAY;

ALTER TABLE {local:feed}{on_cluster} MODIFY TTL shipped_at + INTERVAL {days:feed} DAY;

ALTER TABLE {everywhere:shipment}{on_cluster} MODIFY TTL shipped_at + INTERVAL {days:feed} DAY;
