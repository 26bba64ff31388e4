-- What locks that share something did in an hour (of hearing), as states that merge: read with sum, uniqCombined64Merge(12), sumMap and
-- quantilesTDigestMerge(0.5, 0.9, 0.99). Dimensions are the scopes of findings; fleet has one value, all; fw_hw is firmware
-- and board together, as 3.2.1+C2.
-- The states are fed by what is inserted: a record that two gateways heard counts twice in the sums, once among the locks.
-- Locks are counted exactly to 128 of them, beyond that with a standard error of 1.6 %: finer states would be most of what a question reads.
CREATE TABLE IF NOT EXISTS {local:cohort_hour}{on_cluster} (
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
) ENGINE = {engine:AggregatingMergeTree}
PARTITION BY toYYYYMM(hour)
ORDER BY (dimension, value, hour)
SETTINGS {window};

{distributed:cohort_hour:cityHash64(dimension, value)};

CREATE MATERIALIZED VIEW IF NOT EXISTS {local:cohort_of_record}{on_cluster} TO {local:cohort_hour} AS
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
WHERE kind != 'gateway' AND cohort.2 != ''
GROUP BY dimension, value, hour;

CREATE MATERIALIZED VIEW IF NOT EXISTS {local:cohort_of_operation}{on_cluster} TO {local:cohort_hour} AS
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
FROM {local:operation} AS operation
ARRAY JOIN [
    ('fleet', 'all'), ('site', toString(site)), ('gateway', toString(gw)), ('model', toString(model)), ('hw_rev', toString(hw_rev)), ('lot', toString(lot)),
    ('fw', toString(fw)), ('service', toString(service)), ('client_version', toString(client_version)),
    ('fw_hw', if(fw = '' OR hw_rev = '', '', concat(fw, '+', hw_rev)))
] AS cohort
WHERE cohort.2 != ''
GROUP BY dimension, value, hour;
