-- What only advertisements say (kind adv); the rest of theirs stands in the columns of heartbeats and operations. Of a row of another kind, null.
ALTER TABLE {local:record}{on_cluster}
    ADD COLUMN IF NOT EXISTS peak_ma Nullable(UInt16) COMMENT 'of an advertisement: of the last operation before it' CODEC(T64('bit'), ZSTD(1)),
    ADD COLUMN IF NOT EXISTS problem Nullable(Bool) COMMENT 'the firmware says that something is wrong' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS seq_low Nullable(UInt16) COMMENT 'low 16 bits of the newest seq' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS packet_id Nullable(UInt8) COMMENT 'raised with each transmission of new values; wraps' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS counter Nullable(UInt32) COMMENT 'of an encrypted advertisement' CODEC(Delta, ZSTD(1));

-- On a cluster the table above as well; on one server it is the same one.
ALTER TABLE {db}.record{on_cluster}
    ADD COLUMN IF NOT EXISTS peak_ma Nullable(UInt16) COMMENT 'of an advertisement: of the last operation before it',
    ADD COLUMN IF NOT EXISTS problem Nullable(Bool) COMMENT 'the firmware says that something is wrong',
    ADD COLUMN IF NOT EXISTS seq_low Nullable(UInt16) COMMENT 'low 16 bits of the newest seq',
    ADD COLUMN IF NOT EXISTS packet_id Nullable(UInt8) COMMENT 'raised with each transmission of new values; wraps',
    ADD COLUMN IF NOT EXISTS counter Nullable(UInt32) COMMENT 'of an encrypted advertisement';

ALTER TABLE {local:feed}{on_cluster}
    ADD COLUMN IF NOT EXISTS problem Nullable(Bool) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS seq_low Nullable(UInt16) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS packet_id Nullable(UInt8) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS counter Nullable(UInt32) CODEC(Delta, ZSTD(1));

ALTER TABLE {db}.feed{on_cluster}
    ADD COLUMN IF NOT EXISTS problem Nullable(Bool),
    ADD COLUMN IF NOT EXISTS seq_low Nullable(UInt16),
    ADD COLUMN IF NOT EXISTS packet_id Nullable(UInt8),
    ADD COLUMN IF NOT EXISTS counter Nullable(UInt32);

-- What is heard over the air every quarter of an hour, also of strangers, is no measure of a cohort.
ALTER TABLE {local:cohort_of_record}{on_cluster} MODIFY QUERY
SELECT
    cohort.1 AS dimension,
    cohort.2 AS value,
    toStartOfHour(heard_at, 'UTC') AS hour,
    count() AS records,
    uniqCombined64State(12)(device_id) AS locks,
    sumMap(if(code = '', map(), map(toString(code), toUInt64(count)))) AS errors
FROM {local:record}
ARRAY JOIN [
    ('fleet', 'all'), ('site', toString(site)), ('gateway', toString(gw)), ('model', toString(model)), ('hw_rev', toString(hw_rev)), ('lot', toString(lot)),
    ('fw', toString(fw)), ('service', toString(service)), ('client_version', toString(client_version)),
    ('fw_hw', if(fw = '' OR hw_rev = '', '', concat(fw, '+', hw_rev)))
] AS cohort
WHERE kind NOT IN ('gateway', 'adv') AND cohort.2 != ''
GROUP BY dimension, value, hour;
