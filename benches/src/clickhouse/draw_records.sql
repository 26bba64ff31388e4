INSERT INTO {db}.record (device_id, ts_ms, has_boot, has_seq, boot, seq, site, kind, heard_at, released_at, gateway, spool_offset, authenticated,
    uptime_s, model, hw_rev, lot, fw, service, gw, client_version, battery_mv, battery_pct, temp_centi_c, rssi_dbm, lock_state, code, count)
SELECT
    concat('BL', leftPad(toString(lock), 7, '0')) AS device_id,
    toUnixTimestamp64Milli(at) AS ts_ms,
    true, true, 1, day * {a_day} + nth,
    concat('site-', toString(lock % 200)) AS site,
    if(code = '', 'state', 'error'),
    at, at,
    concat('gw-', toString(lock % 20)),
    number, true,
    intDiv(toUnixTimestamp64Milli(at), 1000) % 1000000,
    concat('bitlock-', toString(lock % 3)),
    concat('C', toString(lock % 4)),
    concat('2025W', toString(10 + lock % 40)),
    concat('3.0.', toString(intDiv(lock, 7) % 5)),
    if(lock % 3 = 0, 'workhub', 'homehub'),
    concat('gw-', toString(lock % 1000)),
    '',
    if(code = '', 2600 + (h1 % 400), NULL),
    if(code = '', h1 % 101, NULL),
    if(code = '', toInt16(h2 % 3000) - 500, NULL),
    if(code = '', toInt8(-50 - toInt16(h1 % 40)), NULL),
    if(code = '', 'locked', ''),
    if(h2 % 50 = 0, ['jam', 'motor_stall', 'ble_disconnect', 'cloud_timeout'][1 + h1 % 4], '') AS code,
    if(code = '', 0, 1)
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
    WHERE nth % 5 != 4
)
SETTINGS max_partitions_per_insert_block = 1000
