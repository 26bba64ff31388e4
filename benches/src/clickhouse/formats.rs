//! What an insert costs by format: sealed ranges into the raw tables, as the shipper sends them (ArrowStream, LZ4) and
//! as the client's own rows (RowBinary, LZ4), in alternating turns. Both are measured from the sealed file to the
//! engine's answer. The views are left out: they cost the same either way.
use super::Ground;
use crate::cost::{Cost, Marks, quantile};
use crate::stream::{GATEWAY, Stream};
use clickhouse::{Client, Compression, Row};
use serde::Serialize;
use std::sync::Arc;
use zenei_detect::Heard;
use zenei_store::ParquetStore;
use zenei_store::disk::RealDisk;
use zenei_store::parquet::StoredBatch;
use zenei_wire::{Body, Text};

/// Costs of one format, one a turn.
#[derive(Clone, Debug, Default)]
pub struct Turns {
    /// The format's name.
    pub format: &'static str,
    /// Records of a turn.
    pub records: u64,
    /// The cost of each turn.
    pub costs: Vec<Cost>,
}

/// Inserts a stream `turns` times in each format; `None` where there is no engine.
pub fn measure(stream: &Stream, turns: usize) -> Option<[Turns; 2]> {
    let ground = Ground::new("bench_formats")?;
    for view in ["cohort_of_record", "cohort_of_operation"] {
        ground.execute(&format!("DROP VIEW {{db}}.{view}"));
    }
    let names = ["ArrowStream + LZ4", "RowBinary + LZ4"];
    let mut found = names.map(|format| Turns { format, ..Turns::default() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for _ in 0..turns {
        for (at, turns) in found.iter_mut().enumerate() {
            for table in ["record", "operation"] {
                ground.execute(&format!("TRUNCATE TABLE {{db}}.{table}"));
            }
            let before = Marks::now(ground.process_id());
            turns.records = if at == 0 { ground.ship(stream) } else { runtime.block_on(insert_rows(&ground, stream)) };
            turns.costs.push(Marks::now(ground.process_id()).since(before));
            assert_eq!(turns.records, stream.records, "every record is taken");
        }
    }
    Some(found)
}

/// Prints the median, the least and the most of the turns.
pub fn print(found: &[Turns]) {
    println!("inserts, {} records, {} turns each", found[0].records, found[0].costs.len());
    for Turns { format, records, costs } in found {
        let spread = |of: fn(&Cost) -> f64, scale: f64| {
            let values: Vec<f64> = costs.iter().map(|cost| of(cost) * scale).collect();
            let [least, median, most] = [0.0, 0.5, 1.0].map(|share| quantile(&values, share));
            format!("{median:.2} ({least:.2} to {most:.2})")
        };
        let micros = 1e6 / *records as f64;
        let per_s: Vec<f64> = costs.iter().map(|cost| *records as f64 / cost.wall_s).collect();
        let [least, median, most] = [0.0, 0.5, 1.0].map(|share| quantile(&per_s, share));
        println!("  {format:<18} {median:>8.0} records/s ({least:.0} to {most:.0})");
        println!(
            "    CPU µs a record: gateway {}, engine {}",
            spread(|cost| cost.own_cpu_s, micros),
            spread(|cost| cost.other_cpu_s, micros)
        );
    }
}

async fn insert_rows(ground: &Ground, stream: &Stream) -> u64 {
    let client = Client::default().with_url(ground.url()).with_compression(Compression::Lz4).with_validation(false);
    let client = client.with_setting("async_insert", "0").with_database(ground.database());
    let store = ParquetStore::open_read_only(Arc::new(RealDisk), &stream.layout().parquet());
    let mut taken = 0;
    let ranges = store.ranges(Default::default(), stream.sealed).expect("ranges can be listed");
    for range in &ranges {
        let batches: Vec<StoredBatch> = store.batches_of(range).collect::<Result<_, _>>().expect("a range can be read");
        let mut rows = Vec::new();
        for batch in &batches {
            for at in 0..batch.len() {
                let heard = batch.heard(at).expect("a row can be read");
                rows.push((heard, batch.released_at(at).ms(), batch.late(at)));
            }
        }
        rows.sort_by(|(a, ..), (b, ..)| key(a).cmp(&key(b)));
        let (operations, records): (Vec<_>, Vec<_>) =
            rows.iter().partition(|(heard, ..)| matches!(heard.record.body, Body::Op(_)));
        let mut insert = client.insert::<RecordRow<'_>>("record").await.expect("an insert can be begun");
        for (heard, released_at, late) in records {
            insert.write(&RecordRow::of(heard, *released_at, *late)).await.expect("a row can be sent");
        }
        insert.end().await.expect("an insert is taken");
        let mut insert = client.insert::<OperationRow<'_>>("operation").await.expect("an insert can be begun");
        for (heard, released_at, late) in operations {
            insert.write(&OperationRow::of(heard, *released_at, *late)).await.expect("a row can be sent");
        }
        insert.end().await.expect("an insert is taken");
        taken += rows.len() as u64;
    }
    taken
}

/// A row of the table `record`, column by column.
#[derive(Row, Serialize)]
struct RecordRow<'a> {
    device_id: &'a str,
    ts_ms: i64,
    has_boot: bool,
    has_seq: bool,
    boot: u32,
    seq: u32,
    identity: String,
    site: &'a str,
    heard_at: i64,
    released_at: i64,
    gateway: &'a str,
    spool_offset: u64,
    spool_index: u16,
    late: bool,
    authenticated: bool,
    uptime_s: Option<u32>,
    model: &'a str,
    hw_rev: &'a str,
    lot: &'a str,
    fw: &'a str,
    service: &'a str,
    gw: &'a str,
    client_version: &'a str,
    kind: &'a str,
    battery_mv: Option<u16>,
    battery_pct: Option<u8>,
    temp_centi_c: Option<i16>,
    rssi_dbm: Option<i8>,
    lock_state: &'a str,
    reset_reason: &'a str,
    free_heap_b: Option<u32>,
    code: &'a str,
    count: u32,
    detail: Option<&'a str>,
    event: &'a str,
    fw_from: Option<&'a str>,
    fw_to: Option<&'a str>,
    gateway_id: Option<&'a str>,
    version: Option<&'a str>,
    queue_depth: Option<u32>,
    publish_errors: Option<u32>,
    api_errors: Option<u32>,
    api_latency_ms: Option<u32>,
    locks_heard: Option<u32>,
}

impl<'a> RecordRow<'a> {
    fn of(heard: &'a Heard<'a>, released_at: i64, late: bool) -> Self {
        let record = &heard.record;
        let state = if let Body::State(state) = &record.body { Some(state) } else { None };
        let error = if let Body::Error(error) = &record.body { Some(error) } else { None };
        let event = if let Body::Event(event) = &record.body { Some(event) } else { None };
        let report = if let Body::Gateway(report) = &record.body { Some(report) } else { None };
        Self {
            device_id: heard.device.as_str(),
            ts_ms: record.ts.ms(),
            has_boot: record.boot.is_some(),
            has_seq: record.seq.is_some(),
            boot: record.boot.unwrap_or(0),
            seq: record.seq.unwrap_or(0),
            identity: identity(heard),
            site: heard.site.as_str(),
            heard_at: heard.heard_at.ms(),
            released_at,
            gateway: GATEWAY,
            spool_offset: heard.offset,
            spool_index: heard.index,
            late,
            authenticated: heard.authenticated,
            uptime_s: record.uptime_s,
            model: word(&record.model),
            hw_rev: word(&record.hw_rev),
            lot: word(&record.lot),
            fw: word(&record.fw),
            service: word(&record.service),
            gw: word(&record.gw),
            client_version: word(&record.client_version),
            kind: record.body.kind().as_str(),
            battery_mv: state.and_then(|state| Some(state.battery_mv?.0)),
            battery_pct: state.and_then(|state| Some(state.battery_pct?.0)),
            temp_centi_c: state.and_then(|state| Some(state.temp_c?.0)),
            rssi_dbm: state.and_then(|state| Some(state.rssi_dbm?.0)),
            lock_state: state.and_then(|state| state.lock_state).map_or("", |word| word.as_str()),
            reset_reason: state.and_then(|state| state.reset_reason).map_or("", |word| word.as_str()),
            free_heap_b: state.and_then(|state| Some(state.free_heap_b?.0)),
            code: error.map_or("", |error| &error.code),
            count: error.map_or(0, |error| error.count),
            detail: error.and_then(|error| error.detail.as_deref()),
            event: event.map_or("", |event| event.event.as_str()),
            fw_from: event.and_then(|event| event.fw_from.as_deref()),
            fw_to: event.and_then(|event| event.fw_to.as_deref()),
            gateway_id: report.and_then(|report| report.gateway_id.as_deref()),
            version: report.and_then(|report| report.version.as_deref()),
            queue_depth: report.and_then(|report| report.queue_depth),
            publish_errors: report.and_then(|report| report.publish_errors),
            api_errors: report.and_then(|report| report.api_errors),
            api_latency_ms: report.and_then(|report| report.api_latency_ms),
            locks_heard: report.and_then(|report| report.locks_heard),
        }
    }
}

/// A row of the table `operation`, column by column. The battery's values at rest are left out: they do not depend on
/// the format.
#[derive(Row, Serialize)]
struct OperationRow<'a> {
    device_id: &'a str,
    ts_ms: i64,
    has_boot: bool,
    has_seq: bool,
    boot: u32,
    seq: u32,
    identity: String,
    site: &'a str,
    heard_at: i64,
    released_at: i64,
    gateway: &'a str,
    spool_offset: u64,
    spool_index: u16,
    late: bool,
    authenticated: bool,
    uptime_s: Option<u32>,
    model: &'a str,
    hw_rev: &'a str,
    lot: &'a str,
    fw: &'a str,
    service: &'a str,
    gw: &'a str,
    client_version: &'a str,
    op: &'a str,
    source: &'a str,
    result: &'a str,
    latency_ms: Option<u32>,
    duration_ms: Option<u16>,
    peak_ma: Option<u16>,
    mean_ma: Option<u16>,
    sample_ms: Option<u16>,
    battery_min_mv: Option<u16>,
    rest_mv: Option<u16>,
    angle_err_centi_deg: Option<i16>,
}

impl<'a> OperationRow<'a> {
    fn of(heard: &'a Heard<'a>, released_at: i64, late: bool) -> Self {
        let record = &heard.record;
        let Body::Op(op) = &record.body else { unreachable!("only operations come here") };
        Self {
            device_id: heard.device.as_str(),
            ts_ms: record.ts.ms(),
            has_boot: record.boot.is_some(),
            has_seq: record.seq.is_some(),
            boot: record.boot.unwrap_or(0),
            seq: record.seq.unwrap_or(0),
            identity: identity(heard),
            site: heard.site.as_str(),
            heard_at: heard.heard_at.ms(),
            released_at,
            gateway: GATEWAY,
            spool_offset: heard.offset,
            spool_index: heard.index,
            late,
            authenticated: heard.authenticated,
            uptime_s: record.uptime_s,
            model: word(&record.model),
            hw_rev: word(&record.hw_rev),
            lot: word(&record.lot),
            fw: word(&record.fw),
            service: word(&record.service),
            gw: word(&record.gw),
            client_version: word(&record.client_version),
            op: op.op.as_str(),
            source: op.source.map_or("", |word| word.as_str()),
            result: op.result.as_str(),
            latency_ms: op.latency_ms.map(|ms| ms.0),
            duration_ms: op.duration_ms,
            peak_ma: op.peak_ma.map(|ma| ma.0),
            mean_ma: op.mean_ma.map(|ma| ma.0),
            sample_ms: op.sample_ms,
            battery_min_mv: op.battery_min_mv.map(|mv| mv.0),
            rest_mv: None,
            angle_err_centi_deg: op.angle_err_deg.map(|deg| deg.0),
        }
    }
}

fn key<'a>(heard: &'a Heard<'_>) -> (&'a str, i64, u32, u64, u16) {
    (heard.device.as_str(), heard.record.ts.ms(), heard.record.seq.unwrap_or(0), heard.offset, heard.index)
}

fn identity(heard: &Heard<'_>) -> String {
    if heard.identity == 0 { String::new() } else { format!("{:032x}", heard.identity) }
}

fn word<'a>(text: &'a Option<Text<'_>>) -> &'a str {
    text.as_deref().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_bring_the_same_rows() {
        let stream = Stream::simulate(40, 3_000, 2);
        let Some(ground) = Ground::new("bench_formats_test") else { return };
        let digest = |ground: &Ground| -> Vec<serde_json::Value> {
            ground.ask(
                "SELECT (SELECT sum(cityHash64(*)) FROM {db}.record) AS records, (SELECT sum(cityHash64(* EXCEPT rest_mv)) FROM {db}.operation) AS operations",
            )
        };
        ground.ship(&stream);
        let shipped = digest(&ground);
        for table in ["record", "operation"] {
            ground.execute(&format!("TRUNCATE TABLE {{db}}.{table}"));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        assert_eq!(runtime.block_on(insert_rows(&ground, &stream)), stream.records);
        assert_eq!(digest(&ground), shipped);
    }

    #[test]
    fn both_formats_are_measured() {
        let stream = Stream::simulate(40, 3_000, 2);
        let Some(found) = measure(&stream, 2) else { return };
        print(&found);
    }
}
