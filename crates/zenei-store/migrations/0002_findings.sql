-- What was found and decided: few rows, the same on every server. A row that is sent again replaces itself.
CREATE TABLE IF NOT EXISTS {everywhere:anomaly}{on_cluster} (
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
) ENGINE = {engine_everywhere:ReplacingMergeTree}
PARTITION BY toYYYYMM(at)
ORDER BY (at, id)
SETTINGS {window};

CREATE TABLE IF NOT EXISTS {everywhere:decision}{on_cluster} (
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
) ENGINE = {engine_everywhere:ReplacingMergeTree}
PARTITION BY toYYYYMM(at)
ORDER BY (at, id)
SETTINGS {window};

CREATE TABLE IF NOT EXISTS {everywhere:incident_event}{on_cluster} (
    incident String,
    seq UInt32 COMMENT 'within the incident, from 0',
    at DateTime64(3, 'UTC'),
    kind LowCardinality(String),
    body String COMMENT 'JSON'
) ENGINE = {engine_everywhere:ReplacingMergeTree}
ORDER BY (incident, seq)
SETTINGS {window};

CREATE TABLE IF NOT EXISTS {everywhere:inquiry}{on_cluster} (
    id String,
    received_at DateTime64(3, 'UTC') COMMENT 'when the customer made contact',
    body String COMMENT 'JSON; personal'
) ENGINE = {engine_everywhere:ReplacingMergeTree}
ORDER BY id
SETTINGS {window};

-- A line of the registry for as long as it held; a line that ended is written again with its end.
CREATE TABLE IF NOT EXISTS {everywhere:registry}{on_cluster} (
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
) ENGINE = {engine_everywhere:ReplacingMergeTree(ended)}
ORDER BY (device_id, valid_from)
SETTINGS {window};
