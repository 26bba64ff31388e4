-- the database and the list of migrations

CREATE DATABASE IF NOT EXISTS zenei;

-- Which migrations this database has; version 0 is how long rows stay.
CREATE TABLE IF NOT EXISTS zenei.zenei_migration (
    version UInt32,
    name String,
    digest String,
    at DateTime64(3, 'UTC') DEFAULT now64(3)
) ENGINE = MergeTree
ORDER BY (version, at);

-- migration 1: records (digest 2775aa763bc663b7cd196417020ae459)

-- What locks said. Partitioned by the week in which the gateway heard it: a range that is sent again has the same weeks, whatever a lock's clock says; the
-- lock's own time could make a partition of every week since 1900. By the week and not by the day, because a lock's last 90 days are asked for: 13 parts instead of 90.
-- Sorted by lock and its own time, which packs best and is what people ask for. Codecs were measured on a simulated fleet: of numbers that grow or wander the
-- difference to the row before, cut to the bits that it needs; of labels, which are the same for all rows of a lock, ZSTD.
-- Two gateways that hear one lock make two rows of one record; readers keep one by (device_id, boot, seq, identity).
CREATE TABLE IF NOT EXISTS zenei.record (
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
) ENGINE = MergeTree
PARTITION BY toMonday(heard_at)
ORDER BY (device_id, ts_ms, seq)
SETTINGS non_replicated_deduplication_window = 10000;

-- Who opened which door when: a resident's private matter, kept for a shorter time and read by a role of its own.
CREATE TABLE IF NOT EXISTS zenei.operation (
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
) ENGINE = MergeTree
PARTITION BY toMonday(heard_at)
ORDER BY (device_id, ts_ms, seq)
SETTINGS non_replicated_deduplication_window = 10000;

-- Motor current profiles: four times the size of all the rest of an operation, so they have a table and a lifetime of their own.
CREATE TABLE IF NOT EXISTS zenei.motor_profile (
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
) ENGINE = MergeTree
PARTITION BY toMonday(heard_at)
ORDER BY (device_id, ts_ms, seq)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS zenei.dead_letter (
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
) ENGINE = MergeTree
PARTITION BY toYYYYMMDD(heard_at)
ORDER BY (reason, heard_at, gateway, spool_offset, spool_index)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS zenei.gap (
    device_id String CODEC(ZSTD(1)),
    boot UInt32 CODEC(Delta, ZSTD(1)),
    from_seq UInt32 COMMENT 'first missing seq' CODEC(Delta, ZSTD(1)),
    to_seq UInt32 COMMENT 'last missing seq' CODEC(Delta, ZSTD(1)),
    at DateTime64(3, 'UTC') COMMENT 'when intake gave up waiting' CODEC(Delta, ZSTD(1)),
    gateway LowCardinality(String)
) ENGINE = MergeTree
PARTITION BY toYYYYMMDD(at)
ORDER BY (device_id, boot, from_seq)
SETTINGS non_replicated_deduplication_window = 10000;

-- What a gateway writes at its start to see that a doubled insert counts once here.
CREATE TABLE IF NOT EXISTS zenei.dedup_probe (
    gateway String,
    probe String,
    at DateTime DEFAULT now()
) ENGINE = MergeTree
ORDER BY (gateway, probe)
TTL at + INTERVAL 1 DAY
SETTINGS non_replicated_deduplication_window = 10000;

-- migration 2: findings (digest 3d74133c4091220cd0c63bd599c93f75)

-- What was found and decided: few rows, the same on every server. A row that is sent again replaces itself.
CREATE TABLE IF NOT EXISTS zenei.anomaly (
    id String,
    at DateTime64(3, 'UTC'),
    device_id LowCardinality(String) COMMENT 'empty where the scope is no device',
    rule LowCardinality(String),
    rule_version UInt32,
    domain LowCardinality(String),
    component LowCardinality(String),
    value Float64,
    baseline Float64,
    threshold Float64,
    unit LowCardinality(String),
    window_ms Int64,
    scope_kind LowCardinality(String),
    scope_value String,
    urgency LowCardinality(String),
    confidence Float64,
    why String,
    evidence Nested (device_id String, boot UInt32, seq UInt32, ts_ms Int64)
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (at, id)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS zenei.decision (
    id String,
    at DateTime64(3, 'UTC'),
    rule LowCardinality(String),
    rule_version UInt32,
    scope_kind LowCardinality(String),
    scope_value String,
    reason LowCardinality(String),
    value Float64,
    threshold Float64,
    unit LowCardinality(String),
    why String
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (at, id)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS zenei.incident_event (
    incident String,
    seq UInt32 COMMENT 'within the incident, from 0',
    at DateTime64(3, 'UTC'),
    kind LowCardinality(String),
    body String COMMENT 'JSON'
) ENGINE = ReplacingMergeTree
ORDER BY (incident, seq)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS zenei.inquiry (
    id String,
    received_at DateTime64(3, 'UTC') COMMENT 'when the customer made contact',
    body String COMMENT 'JSON; personal'
) ENGINE = ReplacingMergeTree
ORDER BY id
SETTINGS non_replicated_deduplication_window = 10000;

-- A line of the registry for as long as it held; a line that ended is written again with its end.
CREATE TABLE IF NOT EXISTS zenei.registry (
    device_id String,
    valid_from DateTime64(3, 'UTC'),
    valid_to Nullable(DateTime64(3, 'UTC')) COMMENT 'null: still',
    ended UInt8 COMMENT '1 where valid_to stands: the newer version of the line',
    customer String,
    site LowCardinality(String),
    door String,
    service LowCardinality(String),
    gateway LowCardinality(String),
    model LowCardinality(String),
    hw_rev LowCardinality(String),
    lot LowCardinality(String),
    installed_at String,
    address String
) ENGINE = ReplacingMergeTree(ended)
ORDER BY (device_id, valid_from)
SETTINGS non_replicated_deduplication_window = 10000;

-- migration 3: cohorts (digest b2a686e9983707bdea9a682dd12283ee)

-- What locks that share something did in an hour (of hearing), as states that merge: read with sum, uniqCombined64Merge(12), sumMap and
-- quantilesTDigestMerge(0.5, 0.9, 0.99). Dimensions are the scopes of findings; fleet has one value, all; fw_hw is firmware
-- and board together, as 3.2.1+C2.
-- The states are fed by what is inserted: a record that two gateways heard counts twice in the sums, once among the locks.
-- Locks are counted exactly to 128 of them, beyond that with a standard error of 1.6 %: finer states would be most of what a question reads.
CREATE TABLE IF NOT EXISTS zenei.cohort_hour (
    dimension LowCardinality(String),
    value String,
    hour DateTime('UTC'),
    records SimpleAggregateFunction(sum, UInt64),
    operations SimpleAggregateFunction(sum, UInt64),
    failed_operations SimpleAggregateFunction(sum, UInt64) COMMENT 'jam, stall or timeout',
    locks AggregateFunction(uniqCombined64(12), String),
    errors SimpleAggregateFunction(sumMap, Map(String, UInt64)) COMMENT 'occurrences by code',
    peak_ma AggregateFunction(quantilesTDigest(0.5, 0.9, 0.99), Nullable(Float32)),
    sag_mv AggregateFunction(quantilesTDigest(0.5, 0.9, 0.99), Nullable(Float32)) COMMENT 'battery at rest less its lowest under load',
    resistance_mohm AggregateFunction(quantilesTDigest(0.5, 0.9, 0.99), Nullable(Float32)) COMMENT 'sag by peak current'
) ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (dimension, value, hour)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS zenei.cohort_of_record TO zenei.cohort_hour AS
SELECT
    cohort.1 AS dimension,
    cohort.2 AS value,
    toStartOfHour(heard_at, 'UTC') AS hour,
    count() AS records,
    uniqCombined64State(12)(device_id) AS locks,
    sumMap(if(code = '', map(), map(toString(code), toUInt64(count)))) AS errors
FROM zenei.record
ARRAY JOIN [
    ('fleet', 'all'), ('site', toString(site)), ('gateway', toString(gw)), ('model', toString(model)), ('hw_rev', toString(hw_rev)), ('lot', toString(lot)),
    ('fw', toString(fw)), ('service', toString(service)), ('client_version', toString(client_version)),
    ('fw_hw', if(fw = '' OR hw_rev = '', '', concat(fw, '+', hw_rev)))
] AS cohort
WHERE kind != 'gateway' AND cohort.2 != ''
GROUP BY dimension, value, hour;

CREATE MATERIALIZED VIEW IF NOT EXISTS zenei.cohort_of_operation TO zenei.cohort_hour AS
SELECT
    cohort.1 AS dimension,
    cohort.2 AS value,
    toStartOfHour(heard_at, 'UTC') AS hour,
    count() AS records,
    count() AS operations,
    countIf(result IN ('jam', 'stall', 'timeout')) AS failed_operations,
    uniqCombined64State(12)(device_id) AS locks,
    quantilesTDigestState(0.5, 0.9, 0.99)(toFloat32(peak_ma)) AS peak_ma,
    quantilesTDigestState(0.5, 0.9, 0.99)(toFloat32(toInt32(rest_mv) - toInt32(battery_min_mv))) AS sag_mv,
    quantilesTDigestState(0.5, 0.9, 0.99)(toFloat32((toInt32(rest_mv) - toInt32(battery_min_mv)) * 1000 / nullIf(operation.peak_ma, 0))) AS resistance_mohm
FROM zenei.operation AS operation
ARRAY JOIN [
    ('fleet', 'all'), ('site', toString(site)), ('gateway', toString(gw)), ('model', toString(model)), ('hw_rev', toString(hw_rev)), ('lot', toString(lot)),
    ('fw', toString(fw)), ('service', toString(service)), ('client_version', toString(client_version)),
    ('fw_hw', if(fw = '' OR hw_rev = '', '', concat(fw, '+', hw_rev)))
] AS cohort
WHERE cohort.2 != ''
GROUP BY dimension, value, hour;

-- migration 4: feed (digest 70336e4aab913fa333566332070d438e)

-- What gateways shipped lately, in the order of hearing, for a desk that detects on many gateways' records: it reads what is new at the cost of what is new,
-- which the tables above, sorted by lock, can't give. Each record a second time, for days instead of a year. Partitioned by what a range that is sent
-- again keeps; rows go by when they came, because a backlog is old when it comes. A range is one insert, on a cluster on the shard of its gateway.
CREATE TABLE IF NOT EXISTS zenei.feed (
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
) ENGINE = MergeTree
PARTITION BY toYYYYMMDD(sealed_at)
ORDER BY (heard_at, gateway, spool_offset, spool_index)
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

-- One row for each range that is in the feed whole, and for each time that a gateway says that it has heard nothing more. Written after the range.
CREATE TABLE IF NOT EXISTS zenei.shipment (
    gateway LowCardinality(String),
    sealed_offset UInt64 COMMENT 'everything before it in the spool is shipped' CODEC(Delta, ZSTD(1)),
    sealed_at DateTime64(3, 'UTC') COMMENT 'how far the gateway''s time had gone' CODEC(Delta, ZSTD(1)),
    rows UInt64 COMMENT 'of the range in the feed' CODEC(ZSTD(1)),
    heard_from DateTime64(3, 'UTC') COMMENT 'the earliest of these rows; sealed_at where there is none' CODEC(Delta, ZSTD(1)),
    shipped_at DateTime('UTC') DEFAULT now() CODEC(Delta, ZSTD(1))
) ENGINE = MergeTree
ORDER BY (gateway, sealed_offset, sealed_at)
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

-- migration 5: advertisements (digest 89ce1ea2a5c68a4df934b75888994f51)

-- What only advertisements say (kind adv); the rest of theirs stands in the columns of heartbeats and operations. Of a row of another kind, null.
ALTER TABLE zenei.record
    ADD COLUMN IF NOT EXISTS peak_ma Nullable(UInt16) COMMENT 'of an advertisement: of the last operation before it' CODEC(T64('bit'), ZSTD(1)),
    ADD COLUMN IF NOT EXISTS problem Nullable(Bool) COMMENT 'the firmware says that something is wrong' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS seq_low Nullable(UInt16) COMMENT 'low 16 bits of the newest seq' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS packet_id Nullable(UInt8) COMMENT 'raised with each transmission of new values; wraps' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS counter Nullable(UInt32) COMMENT 'of an encrypted advertisement' CODEC(Delta, ZSTD(1));

-- On a cluster the table above as well; on one server it is the same one.
ALTER TABLE zenei.record
    ADD COLUMN IF NOT EXISTS peak_ma Nullable(UInt16) COMMENT 'of an advertisement: of the last operation before it',
    ADD COLUMN IF NOT EXISTS problem Nullable(Bool) COMMENT 'the firmware says that something is wrong',
    ADD COLUMN IF NOT EXISTS seq_low Nullable(UInt16) COMMENT 'low 16 bits of the newest seq',
    ADD COLUMN IF NOT EXISTS packet_id Nullable(UInt8) COMMENT 'raised with each transmission of new values; wraps',
    ADD COLUMN IF NOT EXISTS counter Nullable(UInt32) COMMENT 'of an encrypted advertisement';

ALTER TABLE zenei.feed
    ADD COLUMN IF NOT EXISTS problem Nullable(Bool) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS seq_low Nullable(UInt16) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS packet_id Nullable(UInt8) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS counter Nullable(UInt32) CODEC(Delta, ZSTD(1));

ALTER TABLE zenei.feed
    ADD COLUMN IF NOT EXISTS problem Nullable(Bool),
    ADD COLUMN IF NOT EXISTS seq_low Nullable(UInt16),
    ADD COLUMN IF NOT EXISTS packet_id Nullable(UInt8),
    ADD COLUMN IF NOT EXISTS counter Nullable(UInt32);

-- What is heard over the air every quarter of an hour, also of strangers, is no measure of a cohort.
ALTER TABLE zenei.cohort_of_record MODIFY QUERY
SELECT
    cohort.1 AS dimension,
    cohort.2 AS value,
    toStartOfHour(heard_at, 'UTC') AS hour,
    count() AS records,
    uniqCombined64State(12)(device_id) AS locks,
    sumMap(if(code = '', map(), map(toString(code), toUInt64(count)))) AS errors
FROM zenei.record
ARRAY JOIN [
    ('fleet', 'all'), ('site', toString(site)), ('gateway', toString(gw)), ('model', toString(model)), ('hw_rev', toString(hw_rev)), ('lot', toString(lot)),
    ('fw', toString(fw)), ('service', toString(service)), ('client_version', toString(client_version)),
    ('fw_hw', if(fw = '' OR hw_rev = '', '', concat(fw, '+', hw_rev)))
] AS cohort
WHERE kind NOT IN ('gateway', 'adv') AND cohort.2 != ''
GROUP BY dimension, value, hour;

-- migration 6: lives (digest c6e1b044d0f5d4bac0f9a915aea6d1dc)

-- In which life of its lock a record was made: a lock that gets a new board, or loses its counters, begins a new one, and uses its numbers (boot, seq)
-- again. Each gateway counts the lives that it saw begin. Rows of before are of life 0.
-- The sorting key stays: a lock's own time, which comes before, keeps the lives apart where its clock is right, and no reader asks for one life alone.
-- Readers keep one row by (device_id, boot, seq, kind, ts_ms, identity), so that two gateways that count differently make no two records of one.
ALTER TABLE zenei.record
    ADD COLUMN IF NOT EXISTS life UInt32 COMMENT 'how many lives of the lock had ended before' CODEC(T64, ZSTD(1));

ALTER TABLE zenei.record
    ADD COLUMN IF NOT EXISTS life UInt32 COMMENT 'how many lives of the lock had ended before';

ALTER TABLE zenei.operation
    ADD COLUMN IF NOT EXISTS life UInt32 COMMENT 'how many lives of the lock had ended before' CODEC(T64, ZSTD(1));

ALTER TABLE zenei.operation
    ADD COLUMN IF NOT EXISTS life UInt32 COMMENT 'how many lives of the lock had ended before';

ALTER TABLE zenei.feed
    ADD COLUMN IF NOT EXISTS life UInt32 COMMENT 'how many lives of the lock had ended before' CODEC(T64, ZSTD(1));

ALTER TABLE zenei.feed
    ADD COLUMN IF NOT EXISTS life UInt32 COMMENT 'how many lives of the lock had ended before';

-- how long rows stay

-- How long rows stay. Applied again whenever the days change.
ALTER TABLE zenei.record MODIFY TTL toDateTime(heard_at) + INTERVAL 400 DAY;

ALTER TABLE zenei.operation MODIFY TTL toDateTime(heard_at) + INTERVAL 90 DAY;

ALTER TABLE zenei.motor_profile MODIFY TTL toDateTime(heard_at) + INTERVAL 30 DAY;

ALTER TABLE zenei.dead_letter MODIFY TTL toDateTime(heard_at) + INTERVAL 30 DAY;

ALTER TABLE zenei.gap MODIFY TTL toDateTime(at) + INTERVAL 400 DAY;

ALTER TABLE zenei.decision MODIFY TTL toDateTime(at) + INTERVAL 400 DAY;

ALTER TABLE zenei.cohort_hour MODIFY TTL hour + INTERVAL 1200 DAY;

ALTER TABLE zenei.feed MODIFY TTL shipped_at + INTERVAL 7 DAY;

ALTER TABLE zenei.shipment MODIFY TTL shipped_at + INTERVAL 7 DAY;

-- roles

-- Who may read what. Applied every time; needs a user that may grant.
CREATE ROLE IF NOT EXISTS zenei_reader;

GRANT SELECT ON zenei.record, SELECT ON zenei.dead_letter, SELECT ON zenei.gap, SELECT ON zenei.cohort_hour, SELECT ON zenei.anomaly, SELECT ON zenei.decision, SELECT ON zenei.incident_event, SELECT ON zenei.registry, SELECT ON zenei.shipment TO zenei_reader;

CREATE ROLE IF NOT EXISTS zenei_private;

GRANT SELECT ON zenei.operation, SELECT ON zenei.motor_profile, SELECT ON zenei.inquiry, SELECT ON zenei.feed TO zenei_private;
