-- What locks said. Partitioned by the week in which the gateway heard it: a range that is sent again has the same weeks, whatever a lock's clock says; the
-- lock's own time could make a partition of every week since 1900. By the week and not by the day, because a lock's last 90 days are asked for: 13 parts instead of 90.
-- Sorted by lock and its own time, which packs best and is what people ask for. Codecs were measured on a simulated fleet: of numbers that grow or wander the
-- difference to the row before, cut to the bits that it needs; of labels, which are the same for all rows of a lock, ZSTD.
-- Two gateways that hear one lock make two rows of one record; readers keep one by (device_id, boot, seq, identity).
CREATE TABLE IF NOT EXISTS {local:record}{on_cluster} (
    device_id String CODEC(ZSTD(3)),
    ts_ms Int64 COMMENT 'the lock''s clock, ms since 1970; untrusted, any value' CODEC(Delta, T64('bit'), ZSTD(1)),
    ts DateTime64(3, 'UTC') ALIAS fromUnixTimestamp64Milli(least(greatest(ts_ms, -2208988800000), 10413791999999), 'UTC'),
    has_boot Bool COMMENT 'whether boot is the lock''s; else it is 0',
    has_seq Bool COMMENT 'whether seq is the lock''s; else it is 0',
    boot UInt32 CODEC(ZSTD(1)),
    seq UInt32 CODEC(Delta, ZSTD(1)),
    identity LowCardinality(String) COMMENT 'of a record without (boot, seq): hex; else empty' CODEC(ZSTD(1)),
    site LowCardinality(String) CODEC(ZSTD(1)),
    kind LowCardinality(String) COMMENT 'state, error, event or gateway; operations have a table of their own' CODEC(ZSTD(1)),
    heard_at DateTime64(3, 'UTC') COMMENT 'when the gateway heard it' CODEC(Delta, T64('bit'), ZSTD(1)),
    released_at DateTime64(3, 'UTC') COMMENT 'when intake released it' CODEC(Delta, T64('bit'), ZSTD(1)),
    gateway LowCardinality(String) COMMENT 'the gateway that keeps it in its spool' CODEC(ZSTD(1)),
    spool_offset UInt64 COMMENT 'of its message in that spool' CODEC(Delta, T64('bit'), ZSTD(1)),
    spool_index UInt16 COMMENT 'within its message' CODEC(ZSTD(1)),
    late Bool,
    authenticated Bool,
    uptime_s Nullable(UInt32) CODEC(Delta, T64('bit'), ZSTD(1)),
    model LowCardinality(String) CODEC(ZSTD(1)),
    hw_rev LowCardinality(String) CODEC(ZSTD(1)),
    lot LowCardinality(String) CODEC(ZSTD(1)),
    fw LowCardinality(String) CODEC(ZSTD(1)),
    service LowCardinality(String) CODEC(ZSTD(1)),
    gw LowCardinality(String) COMMENT 'the gateway or hub that relayed it' CODEC(ZSTD(1)),
    client_version LowCardinality(String) CODEC(ZSTD(1)),
    battery_mv Nullable(UInt16) CODEC(Delta, ZSTD(3)),
    battery_pct Nullable(UInt8) CODEC(Delta, ZSTD(1)),
    temp_centi_c Nullable(Int16) COMMENT 'hundredths of a degree Celsius' CODEC(ZSTD(3)),
    rssi_dbm Nullable(Int8) CODEC(Delta, ZSTD(1)),
    lock_state LowCardinality(String) CODEC(ZSTD(1)),
    reset_reason LowCardinality(String) CODEC(ZSTD(1)),
    free_heap_b Nullable(UInt32) CODEC(T64, ZSTD(1)),
    code LowCardinality(String) CODEC(ZSTD(1)),
    count UInt32 COMMENT 'occurrences of the code since the last record; 0 where there is none' CODEC(ZSTD(1)),
    detail Nullable(String) COMMENT 'free text of the lock, untrusted' CODEC(ZSTD(1)),
    event LowCardinality(String) CODEC(ZSTD(1)),
    fw_from LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    fw_to LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    gateway_id LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    version LowCardinality(Nullable(String)) CODEC(ZSTD(1)),
    queue_depth Nullable(UInt32) CODEC(ZSTD(1)),
    publish_errors Nullable(UInt32) CODEC(ZSTD(1)),
    api_errors Nullable(UInt32) CODEC(ZSTD(1)),
    api_latency_ms Nullable(UInt32) CODEC(T64, ZSTD(1)),
    locks_heard Nullable(UInt32) CODEC(T64, ZSTD(1))
) ENGINE = {engine:MergeTree}
PARTITION BY toMonday(heard_at)
ORDER BY (device_id, ts_ms, seq)
SETTINGS {window};

{distributed:record:cityHash64(device_id)};

-- Who opened which door when: a resident's private matter, kept for a shorter time and read by a role of its own.
CREATE TABLE IF NOT EXISTS {local:operation}{on_cluster} (
    device_id String CODEC(ZSTD(3)),
    ts_ms Int64 COMMENT 'the lock''s clock, ms since 1970; untrusted, any value' CODEC(Delta, T64('bit'), ZSTD(1)),
    ts DateTime64(3, 'UTC') ALIAS fromUnixTimestamp64Milli(least(greatest(ts_ms, -2208988800000), 10413791999999), 'UTC'),
    has_boot Bool,
    has_seq Bool,
    boot UInt32 CODEC(T64, ZSTD(1)),
    seq UInt32 CODEC(Delta, ZSTD(1)),
    identity LowCardinality(String) CODEC(ZSTD(1)),
    site LowCardinality(String) CODEC(ZSTD(1)),
    heard_at DateTime64(3, 'UTC') CODEC(Delta, T64('bit'), ZSTD(1)),
    released_at DateTime64(3, 'UTC') CODEC(Delta, T64('bit'), ZSTD(1)),
    gateway LowCardinality(String) CODEC(ZSTD(1)),
    spool_offset UInt64 CODEC(Delta, T64('bit'), ZSTD(1)),
    spool_index UInt16 CODEC(ZSTD(1)),
    late Bool,
    authenticated Bool,
    uptime_s Nullable(UInt32) CODEC(Delta, T64('bit'), ZSTD(1)),
    model LowCardinality(String) CODEC(ZSTD(1)),
    hw_rev LowCardinality(String) CODEC(ZSTD(1)),
    lot LowCardinality(String) CODEC(ZSTD(1)),
    fw LowCardinality(String) CODEC(ZSTD(1)),
    service LowCardinality(String) CODEC(ZSTD(1)),
    gw LowCardinality(String) CODEC(ZSTD(1)),
    client_version LowCardinality(String) CODEC(ZSTD(1)),
    op LowCardinality(String) CODEC(ZSTD(1)),
    source LowCardinality(String) CODEC(ZSTD(1)),
    result LowCardinality(String) CODEC(ZSTD(1)),
    latency_ms Nullable(UInt32) CODEC(Delta, T64('bit'), ZSTD(1)),
    duration_ms Nullable(UInt16) CODEC(Delta, T64('bit'), ZSTD(1)),
    peak_ma Nullable(UInt16) CODEC(Delta, T64('bit'), ZSTD(1)),
    mean_ma Nullable(UInt16) CODEC(Delta, T64('bit'), ZSTD(1)),
    sample_ms Nullable(UInt16) CODEC(T64('bit'), ZSTD(1)),
    battery_min_mv Nullable(UInt16) COMMENT 'lowest under load' CODEC(Delta, ZSTD(3)),
    rest_mv Nullable(UInt16) COMMENT 'at rest: what the lock''s last heartbeat before this said, as far as its gateway knew' CODEC(Delta, ZSTD(3)),
    angle_err_centi_deg Nullable(Int16) COMMENT 'hundredths of a degree' CODEC(T64, ZSTD(1))
) ENGINE = {engine:MergeTree}
PARTITION BY toMonday(heard_at)
ORDER BY (device_id, ts_ms, seq)
SETTINGS {window};

{distributed:operation:cityHash64(device_id)};

-- Motor current profiles: four times the size of all the rest of an operation, so they have a table and a lifetime of their own.
CREATE TABLE IF NOT EXISTS {local:motor_profile}{on_cluster} (
    device_id String CODEC(ZSTD(3)),
    ts_ms Int64 CODEC(Delta, T64('bit'), ZSTD(1)),
    ts DateTime64(3, 'UTC') ALIAS fromUnixTimestamp64Milli(least(greatest(ts_ms, -2208988800000), 10413791999999), 'UTC'),
    boot UInt32 CODEC(T64, ZSTD(1)),
    seq UInt32 CODEC(Delta, ZSTD(1)),
    heard_at DateTime64(3, 'UTC') CODEC(Delta, T64('bit'), ZSTD(1)),
    gateway LowCardinality(String) CODEC(ZSTD(1)),
    spool_offset UInt64 CODEC(Delta, T64('bit'), ZSTD(1)),
    spool_index UInt16 CODEC(ZSTD(1)),
    current_ma Array(UInt16) COMMENT 'mA, evenly spaced' CODEC(T64('bit'), ZSTD(1)),
    sample_ms Nullable(UInt16) COMMENT 'spacing' CODEC(T64('bit'), ZSTD(1))
) ENGINE = {engine:MergeTree}
PARTITION BY toMonday(heard_at)
ORDER BY (device_id, ts_ms, seq)
SETTINGS {window};

{distributed:motor_profile:cityHash64(device_id)};

CREATE TABLE IF NOT EXISTS {local:dead_letter}{on_cluster} (
    reason LowCardinality(String),
    detail String CODEC(ZSTD(1)),
    topic String CODEC(ZSTD(1)),
    bytes String COMMENT 'as they were heard; untrusted' CODEC(ZSTD(1)),
    cut Bool COMMENT 'whether there were more bytes',
    authenticated Bool COMMENT 'whether its source may speak for the lock of its topic',
    heard_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    gateway LowCardinality(String),
    spool_offset UInt64 CODEC(Delta, ZSTD(1)),
    spool_index UInt16 CODEC(ZSTD(1))
) ENGINE = {engine:MergeTree}
PARTITION BY toYYYYMMDD(heard_at)
ORDER BY (reason, heard_at, gateway, spool_offset, spool_index)
SETTINGS {window};

{distributed:dead_letter:cityHash64(gateway)};

CREATE TABLE IF NOT EXISTS {local:gap}{on_cluster} (
    device_id String CODEC(ZSTD(1)),
    boot UInt32 CODEC(Delta, ZSTD(1)),
    from_seq UInt32 COMMENT 'first missing seq' CODEC(Delta, ZSTD(1)),
    to_seq UInt32 COMMENT 'last missing seq' CODEC(Delta, ZSTD(1)),
    at DateTime64(3, 'UTC') COMMENT 'when intake gave up waiting' CODEC(Delta, ZSTD(1)),
    gateway LowCardinality(String)
) ENGINE = {engine:MergeTree}
PARTITION BY toYYYYMMDD(at)
ORDER BY (device_id, boot, from_seq)
SETTINGS {window};

{distributed:gap:cityHash64(device_id)};

-- What a gateway writes at its start to see that a doubled insert counts once here.
CREATE TABLE IF NOT EXISTS {local:dedup_probe}{on_cluster} (
    gateway String,
    probe String,
    at DateTime DEFAULT now()
) ENGINE = {engine:MergeTree}
ORDER BY (gateway, probe)
TTL at + INTERVAL 1 DAY
SETTINGS {window};

{distributed:dedup_probe:cityHash64(gateway)};
