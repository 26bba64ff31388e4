INSERT INTO {db}.operation (device_id, ts_ms, has_boot, has_seq, boot, seq, site, heard_at, released_at, gateway, spool_offset, authenticated,
    model, hw_rev, lot, fw, service, gw, client_version, op, source, result, latency_ms, duration_ms, peak_ma, mean_ma, battery_min_mv, rest_mv)
SELECT
    concat('BL', leftPad(toString(lock), 7, '0')) AS device_id,
    toUnixTimestamp64Milli(at) AS ts_ms,
    true, true, 1, day * {a_day} + nth,
    concat('site-', toString(lock % 200)),
    at, at,
    concat('gw-', toString(lock % 20)),
    number, true,
    concat('bitlock-', toString(lock % 3)),
    concat('C', toString(lock % 4)),
    concat('2025W', toString(10 + lock % 40)),
    concat('3.0.', toString(intDiv(lock, 7) % 5)),
    if(lock % 3 = 0, 'workhub', 'homehub'),
    concat('gw-', toString(lock % 1000)),
    concat('ios-5.', toString(h1 % 4)),
    if(nth % 2 = 0, 'lock', 'unlock'),
    'app',
    if(h2 % 100 = 0, 'jam', 'ok'),
    900 + h1 % 900,
    700 + h2 % 300,
    500 + h1 % 200,
    250 + h2 % 100,
    2400 + h1 % 200,
    2700 + h2 % 200
FROM (
    SELECT
        number,
        number % {locks} AS lock,
        intDiv(number, {locks}) % {a_day} AS nth,
        {first_day} + intDiv(number, {locks} * {a_day}) AS day,
        cityHash64(number, {first_day}, 1) AS h1,
        cityHash64(number, {first_day}, 2) AS h2,
        toDateTime64('2026-01-01 00:00:00', 3, 'UTC') + toIntervalSecond(day * 86400 + intDiv(86400 * nth + h1 % 86400, {a_day})) AS at
    FROM numbers({locks} * {a_day} * {days})
    WHERE nth % 5 = 4
)
SETTINGS max_partitions_per_insert_block = 1000
