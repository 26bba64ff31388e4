-- What gateways shipped lately, in the order of hearing, for a desk that detects on many gateways' records: it reads what is new at the cost of what is new,
-- which the tables above, sorted by lock, can't give. Each record a second time, for days instead of a year. Partitioned by what a range that is sent
-- again keeps; rows go by when they came, because a backlog is old when it comes. A range is one insert, on a cluster on the shard of its gateway.
CREATE TABLE IF NOT EXISTS {local:feed}{on_cluster} (
    device_id String CODEC(ZSTD(1)),
    ts_ms Int64 COMMENT 'the lock''s clock, ms since 1970; untrusted, any value' CODEC(Delta, ZSTD(1)),
    has_boot Bool COMMENT 'whether boot is the lock''s; else it is 0',
    has_seq Bool COMMENT 'whether seq is the lock''s; else it is 0',
    boot UInt32 CODEC(Delta, ZSTD(1)),
    seq UInt32 CODEC(Delta, ZSTD(1)),
    identity LowCardinality(String) COMMENT 'of a record without (boot, seq): hex; else empty',
    site LowCardinality(String),
    kind LowCardinality(String) COMMENT 'state, op, error, event or gateway',
    heard_at DateTime64(3, 'UTC') COMMENT 'when the gateway heard it' CODEC(Delta, ZSTD(1)),
    released_at DateTime64(3, 'UTC') COMMENT 'when intake released it' CODEC(Delta, ZSTD(1)),
    gateway LowCardinality(String) COMMENT 'the gateway that keeps it in its spool',
    spool_offset UInt64 COMMENT 'of its message in that spool' CODEC(Delta, ZSTD(1)),
    spool_index UInt16 COMMENT 'within its message' CODEC(ZSTD(1)),
    late Bool,
    authenticated Bool,
    uptime_s Nullable(UInt32) CODEC(Delta, ZSTD(1)),
    model LowCardinality(String),
    hw_rev LowCardinality(String),
    lot LowCardinality(String),
    fw LowCardinality(String),
    service LowCardinality(String),
    gw LowCardinality(String) COMMENT 'the gateway or hub that relayed it',
    client_version LowCardinality(String),
    battery_mv Nullable(UInt16) CODEC(T64('bit'), ZSTD(1)),
    battery_pct Nullable(UInt8) CODEC(T64('bit'), ZSTD(1)),
    temp_centi_c Nullable(Int16) COMMENT 'hundredths of a degree Celsius' CODEC(Delta, ZSTD(1)),
    rssi_dbm Nullable(Int8) CODEC(Delta, ZSTD(1)),
    lock_state LowCardinality(String),
    reset_reason LowCardinality(String),
    free_heap_b Nullable(UInt32) CODEC(T64('bit'), ZSTD(1)),
    code LowCardinality(String),
    count UInt32 COMMENT 'occurrences of the code since the last record; 0 where there is none' CODEC(ZSTD(1)),
    detail Nullable(String) COMMENT 'free text of the lock, untrusted' CODEC(ZSTD(1)),
    event LowCardinality(String),
    fw_from LowCardinality(Nullable(String)),
    fw_to LowCardinality(Nullable(String)),
    gateway_id LowCardinality(Nullable(String)),
    version LowCardinality(Nullable(String)),
    queue_depth Nullable(UInt32) CODEC(ZSTD(1)),
    publish_errors Nullable(UInt32) CODEC(ZSTD(1)),
    api_errors Nullable(UInt32) CODEC(ZSTD(1)),
    api_latency_ms Nullable(UInt32) CODEC(ZSTD(1)),
    locks_heard Nullable(UInt32) CODEC(ZSTD(1)),
    op LowCardinality(String),
    source LowCardinality(String),
    result LowCardinality(String),
    latency_ms Nullable(UInt32) CODEC(T64('bit'), ZSTD(1)),
    duration_ms Nullable(UInt16) CODEC(T64('bit'), ZSTD(1)),
    peak_ma Nullable(UInt16) CODEC(T64('bit'), ZSTD(1)),
    mean_ma Nullable(UInt16) CODEC(T64('bit'), ZSTD(1)),
    sample_ms Nullable(UInt16) CODEC(ZSTD(1)),
    battery_min_mv Nullable(UInt16) COMMENT 'lowest under load' CODEC(T64('bit'), ZSTD(1)),
    angle_err_centi_deg Nullable(Int16) COMMENT 'hundredths of a degree' CODEC(T64('bit'), ZSTD(1)),
    has_profile Bool,
    current_ma Array(UInt16) COMMENT 'mA, evenly spaced' CODEC(T64('bit'), ZSTD(1)),
    sealed_offset UInt64 COMMENT 'the range that it was sealed with: where that ends in the spool' CODEC(Delta, ZSTD(1)),
    sealed_at DateTime64(3, 'UTC') COMMENT 'and how far the gateway''s time had gone' CODEC(Delta, ZSTD(1)),
    shipped_at DateTime('UTC') DEFAULT now() CODEC(Delta, ZSTD(1))
) ENGINE = {engine:MergeTree}
PARTITION BY toYYYYMMDD(sealed_at)
ORDER BY (heard_at, gateway, spool_offset, spool_index)
SETTINGS {window}, ttl_only_drop_parts = 1;

{distributed:feed:cityHash64(gateway)};

-- One row for each range that is in the feed whole, and for each time that a gateway says that it has heard nothing more. Written after the range.
CREATE TABLE IF NOT EXISTS {everywhere:shipment}{on_cluster} (
    gateway LowCardinality(String),
    sealed_offset UInt64 COMMENT 'everything before it in the spool is shipped' CODEC(Delta, ZSTD(1)),
    sealed_at DateTime64(3, 'UTC') COMMENT 'how far the gateway''s time had gone' CODEC(Delta, ZSTD(1)),
    rows UInt64 COMMENT 'of the range in the feed' CODEC(ZSTD(1)),
    heard_from DateTime64(3, 'UTC') COMMENT 'the earliest of these rows; sealed_at where there is none' CODEC(Delta, ZSTD(1)),
    shipped_at DateTime('UTC') DEFAULT now() CODEC(Delta, ZSTD(1))
) ENGINE = {engine_everywhere:MergeTree}
ORDER BY (gateway, sealed_offset, sealed_at)
SETTINGS {window}, ttl_only_drop_parts = 1;
