-- In which life of its lock a record was made: a lock that gets a new board, or loses its counters, begins a new one, and uses its numbers (boot, seq)
-- again. Each gateway counts the lives that it saw begin. Rows of before are of life 0.
-- The sorting key stays: a lock's own time, which comes before, keeps the lives apart where its clock is right, and no reader asks for one life alone.
-- Readers keep one row by (device_id, boot, seq, kind, ts_ms, identity), so that two gateways that count differently make no two records of one.
ALTER TABLE {local:record}{on_cluster}
    ADD COLUMN IF NOT EXISTS life UInt32 COMMENT 'how many lives of the lock had ended before' CODEC(T64, ZSTD(1));

ALTER TABLE {db}.record{on_cluster}
    ADD COLUMN IF NOT EXISTS life UInt32 COMMENT 'how many lives of the lock had ended before';

ALTER TABLE {local:operation}{on_cluster}
    ADD COLUMN IF NOT EXISTS life UInt32 COMMENT 'how many lives of the lock had ended before' CODEC(T64, ZSTD(1));

ALTER TABLE {db}.operation{on_cluster}
    ADD COLUMN IF NOT EXISTS life UInt32 COMMENT 'how many lives of the lock had ended before';

ALTER TABLE {local:feed}{on_cluster}
    ADD COLUMN IF NOT EXISTS life UInt32 COMMENT 'how many lives of the lock had ended before' CODEC(T64, ZSTD(1));

ALTER TABLE {db}.feed{on_cluster}
    ADD COLUMN IF NOT EXISTS life UInt32 COMMENT 'how many lives of the lock had ended before';
