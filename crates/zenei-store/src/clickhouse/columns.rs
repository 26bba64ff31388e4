//! Columns as the tables of ClickHouse have them, from rows that were read back from sealed files. Numbers are fixed point; a word that is absent is
//! empty; what else is absent is null. Knows Arrow and the tables' columns, no server. Called by the shipper.
use crate::control::Sealed;
use crate::dead_letter::DeadLetter;
use crate::parquet::StoredGap;
use crate::parquet::columns::{Column, flag, number, table, text, time};
use arrow_array::builder::{ListBuilder, UInt16Builder};
use arrow_array::types::{Int8Type, Int16Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{BinaryArray, BooleanArray, RecordBatch, StringArray};
use arrow_schema::{ArrowError, DataType, Field};
use std::sync::Arc;
use zenei_detect::Heard;
use zenei_wire::{Adv, Body, EngineTime, ErrorReport, Event, GatewayReport, GatewayTime, Op, State, Text};

/// A table that rows go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    Record,
    Operation,
    MotorProfile,
    DeadLetter,
    Gap,
    Feed,
    Shipment,
}

impl Target {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Operation => "operation",
            Self::MotorProfile => "motor_profile",
            Self::DeadLetter => "dead_letter",
            Self::Gap => "gap",
            Self::Feed => "feed",
            Self::Shipment => "shipment",
        }
    }
}

/// A row on its way.
#[derive(Clone, Debug)]
pub(super) struct Outgoing<'a> {
    pub(super) heard: Heard<'a>,
    pub(super) released_at: EngineTime,
    pub(super) late: bool,
    /// Of an operation: the battery at rest, as far as anybody knew, mV.
    pub(super) rest_mv: Option<u16>,
}

impl Outgoing<'_> {
    /// What the tables of rows are sorted by; rows in this order cost the server least. The last two make the order whole, so that equal rows
    /// give equal bytes.
    pub(super) fn key(&self) -> (&str, i64, u32, u64, u16) {
        let heard = &self.heard;
        (heard.device.as_str(), heard.record.ts.ms(), heard.record.seq.unwrap_or(0), heard.offset, heard.index)
    }

    /// The order of hearing, in which the feed is sorted.
    pub(super) fn hearing(&self) -> (GatewayTime, u64, u16) {
        (self.heard.heard_at, self.heard.offset, self.heard.index)
    }

    pub(super) fn op(&self) -> Option<&Op> {
        if let Body::Op(op) = &self.heard.record.body { Some(op) } else { None }
    }

    fn state(&self) -> Option<&State> {
        if let Body::State(state) = &self.heard.record.body { Some(state) } else { None }
    }

    fn adv(&self) -> Option<&Adv> {
        if let Body::Adv(adv) = &self.heard.record.body { Some(adv) } else { None }
    }

    /// What heartbeats and advertisements both say, as a heartbeat.
    fn told(&self) -> Option<State> {
        let of_adv = |adv: &Adv| State {
            battery_mv: adv.battery_mv,
            battery_pct: adv.battery_pct,
            temp_c: adv.temp_c,
            rssi_dbm: adv.rssi_dbm,
            lock_state: adv.lock_state,
            ..State::default()
        };
        self.state().copied().or_else(|| self.adv().map(of_adv))
    }

    fn peak_ma(&self) -> Option<u16> {
        let peak = self.op().map_or_else(|| self.adv()?.peak_ma, |op| op.peak_ma);
        peak.map(|peak| peak.0)
    }

    fn error(&self) -> Option<&ErrorReport<'_>> {
        if let Body::Error(error) = &self.heard.record.body { Some(error) } else { None }
    }

    fn event(&self) -> Option<&Event<'_>> {
        if let Body::Event(event) = &self.heard.record.body { Some(event) } else { None }
    }

    fn report(&self) -> Option<&GatewayReport<'_>> {
        if let Body::Gateway(report) = &self.heard.record.body { Some(report) } else { None }
    }
}

type Rows<'a> = &'a [&'a Outgoing<'a>];

/// State, error, event, gateway and advertisement records.
pub(super) fn of_records(rows: Rows<'_>, gateway: &str) -> Result<RecordBatch, ArrowError> {
    let mut columns = heading(rows, gateway);
    columns.push(word("kind", rows, |row| Some(row.heard.record.body.kind().as_str())));
    columns.extend(states(rows));
    columns.extend(errors_and_events(rows));
    columns.extend(reports(rows));
    columns.push(number::<UInt16Type, _>("peak_ma", rows, |row| row.peak_ma(), true));
    columns.extend(adverts(rows));
    table(columns)
}

/// Operations, without their profiles.
pub(super) fn of_operations(rows: Rows<'_>, gateway: &str) -> Result<RecordBatch, ArrowError> {
    let mut columns = heading(rows, gateway);
    columns.extend(operations(rows));
    columns.push(number::<UInt16Type, _>("rest_mv", rows, |row| row.rest_mv, true));
    table(columns)
}

/// Rows of all kinds, with their profiles and the range that they were sealed with.
pub(super) fn of_feed(rows: Rows<'_>, gateway: &str, sealed: Sealed) -> Result<RecordBatch, ArrowError> {
    let mut columns = heading(rows, gateway);
    columns.push(word("kind", rows, |row| Some(row.heard.record.body.kind().as_str())));
    columns.extend(states(rows));
    columns.extend(errors_and_events(rows));
    columns.extend(reports(rows));
    columns.extend(operations(rows));
    columns.extend(adverts(rows));
    columns.extend([
        flag("has_profile", rows, |row| row.op().is_some_and(|op| op.current_ma.is_some())),
        profiles(rows),
        number::<UInt64Type, _>("sealed_offset", rows, |_| Some(sealed.offset), false),
        time("sealed_at", rows, |_| sealed.advanced_to.ms()),
    ]);
    table(columns)
}

/// How far a gateway has shipped, with what its newest range put into the feed: how many rows, and when the first of them was heard.
pub(super) fn of_shipment(
    gateway: &str,
    sealed: Sealed,
    rows: u64,
    heard_from: GatewayTime,
) -> Result<RecordBatch, ArrowError> {
    let one = [()];
    table(vec![
        text("gateway", &one, |()| Some(gateway), false),
        number::<UInt64Type, _>("sealed_offset", &one, |()| Some(sealed.offset), false),
        time("sealed_at", &one, |()| sealed.advanced_to.ms()),
        number::<UInt64Type, _>("rows", &one, |()| Some(rows), false),
        time("heard_from", &one, |()| heard_from.ms()),
    ])
}

fn adverts(rows: Rows<'_>) -> [Column; 4] {
    let problem: BooleanArray = rows.iter().map(|row| row.adv()?.problem).collect();
    [
        ("problem", Arc::new(problem), true),
        number::<UInt16Type, _>("seq_low", rows, |row| row.adv()?.seq_low, true),
        number::<UInt8Type, _>("packet_id", rows, |row| row.adv()?.packet_id, true),
        number::<UInt32Type, _>("counter", rows, |row| row.adv()?.counter, true),
    ]
}

fn operations(rows: Rows<'_>) -> [Column; 10] {
    [
        word("op", rows, |row| Some(row.op()?.op.as_str())),
        word("source", rows, |row| Some(row.op()?.source?.as_str())),
        word("result", rows, |row| Some(row.op()?.result.as_str())),
        number::<UInt32Type, _>("latency_ms", rows, |row| Some(row.op()?.latency_ms?.0), true),
        number::<UInt16Type, _>("duration_ms", rows, |row| row.op()?.duration_ms, true),
        number::<UInt16Type, _>("peak_ma", rows, |row| row.peak_ma(), true),
        number::<UInt16Type, _>("mean_ma", rows, |row| Some(row.op()?.mean_ma?.0), true),
        number::<UInt16Type, _>("sample_ms", rows, |row| row.op()?.sample_ms, true),
        number::<UInt16Type, _>("battery_min_mv", rows, |row| Some(row.op()?.battery_min_mv?.0), true),
        number::<Int16Type, _>("angle_err_centi_deg", rows, |row| Some(row.op()?.angle_err_deg?.0), true),
    ]
}

/// The profiles of those operations that have one.
pub(super) fn of_profiles(rows: Rows<'_>, gateway: &str) -> Result<RecordBatch, ArrowError> {
    table(vec![
        word("device_id", rows, |row| Some(row.heard.device.as_str())),
        number::<Int64Type, _>("ts_ms", rows, |row| Some(row.heard.record.ts.ms()), false),
        number::<UInt32Type, _>("boot", rows, |row| row.heard.record.boot.or(Some(0)), false),
        number::<UInt32Type, _>("seq", rows, |row| row.heard.record.seq.or(Some(0)), false),
        time("heard_at", rows, |row| row.heard.heard_at.ms()),
        word("gateway", rows, |_| Some(gateway)),
        number::<UInt64Type, _>("spool_offset", rows, |row| Some(row.heard.offset), false),
        number::<UInt16Type, _>("spool_index", rows, |row| Some(row.heard.index), false),
        profiles(rows),
        number::<UInt16Type, _>("sample_ms", rows, |row| row.op()?.sample_ms, true),
    ])
}

/// Dead letters.
pub(super) fn of_dead_letters(dead: &[DeadLetter], gateway: &str) -> Result<RecordBatch, ArrowError> {
    let bytes: BinaryArray = dead.iter().map(|letter| Some(&*letter.bytes)).collect();
    table(vec![
        text("reason", dead, |letter| Some(letter.reason.as_str()), false),
        text("detail", dead, |letter| Some(&letter.detail), false),
        text("topic", dead, |letter| Some(&letter.topic), false),
        ("bytes", Arc::new(bytes), false),
        flag("cut", dead, |letter| letter.cut),
        flag("authenticated", dead, |letter| letter.authenticated),
        time("heard_at", dead, |letter| letter.heard_at.ms()),
        text("gateway", dead, |_| Some(gateway), false),
        number::<UInt64Type, _>("spool_offset", dead, |letter| Some(letter.offset), false),
        number::<UInt16Type, _>("spool_index", dead, |letter| Some(letter.index), false),
    ])
}

/// Gaps.
pub(super) fn of_gaps(gaps: &[&StoredGap], gateway: &str) -> Result<RecordBatch, ArrowError> {
    table(vec![
        text("device_id", gaps, |gap| Some(&gap.device_id), false),
        number::<UInt32Type, _>("boot", gaps, |gap| Some(gap.boot), false),
        number::<UInt32Type, _>("from_seq", gaps, |gap| Some(gap.from_seq), false),
        number::<UInt32Type, _>("to_seq", gaps, |gap| Some(gap.to_seq), false),
        time("at", gaps, |gap| gap.at.ms()),
        text("gateway", gaps, |_| Some(gateway), false),
    ])
}

fn profiles(rows: Rows<'_>) -> Column {
    let item = Field::new("item", DataType::UInt16, false);
    let mut lists = ListBuilder::new(UInt16Builder::new()).with_field(item);
    for row in rows {
        if let Some(profile) = row.op().and_then(|op| op.current_ma) {
            lists.values().append_slice(profile.samples());
        }
        lists.append(true);
    }
    ("current_ma", Arc::new(lists.finish()), false)
}

fn heading(rows: Rows<'_>, gateway: &str) -> Vec<Column> {
    let identity = |row: &&Outgoing<'_>| match row.heard.identity {
        0 => String::new(),
        identity => format!("{identity:032x}"),
    };
    let identities: StringArray = rows.iter().map(|row| Some(identity(row))).collect();
    let mut columns = vec![
        word("device_id", rows, |row| Some(row.heard.device.as_str())),
        number::<Int64Type, _>("ts_ms", rows, |row| Some(row.heard.record.ts.ms()), false),
        flag("has_boot", rows, |row| row.heard.record.boot.is_some()),
        flag("has_seq", rows, |row| row.heard.record.seq.is_some()),
        number::<UInt32Type, _>("boot", rows, |row| row.heard.record.boot.or(Some(0)), false),
        number::<UInt32Type, _>("seq", rows, |row| row.heard.record.seq.or(Some(0)), false),
        ("identity", Arc::new(identities) as _, false),
        word("site", rows, |row| Some(row.heard.site.as_str())),
        time("heard_at", rows, |row| row.heard.heard_at.ms()),
        time("released_at", rows, |row| row.released_at.ms()),
        word("gateway", rows, |_| Some(gateway)),
        number::<UInt64Type, _>("spool_offset", rows, |row| Some(row.heard.offset), false),
        number::<UInt16Type, _>("spool_index", rows, |row| Some(row.heard.index), false),
        flag("late", rows, |row| row.late),
        flag("authenticated", rows, |row| row.heard.authenticated),
        number::<UInt32Type, _>("uptime_s", rows, |row| row.heard.record.uptime_s, true),
    ];
    columns.extend([
        word("model", rows, |row| said(&row.heard.record.model)),
        word("hw_rev", rows, |row| said(&row.heard.record.hw_rev)),
        word("lot", rows, |row| said(&row.heard.record.lot)),
        word("fw", rows, |row| said(&row.heard.record.fw)),
        word("service", rows, |row| said(&row.heard.record.service)),
        word("gw", rows, |row| said(&row.heard.record.gw)),
        word("client_version", rows, |row| said(&row.heard.record.client_version)),
    ]);
    columns
}

fn states(rows: Rows<'_>) -> [Column; 7] {
    [
        number::<UInt16Type, _>("battery_mv", rows, |row| Some(row.told()?.battery_mv?.0), true),
        number::<UInt8Type, _>("battery_pct", rows, |row| Some(row.told()?.battery_pct?.0), true),
        number::<Int16Type, _>("temp_centi_c", rows, |row| Some(row.told()?.temp_c?.0), true),
        number::<Int8Type, _>("rssi_dbm", rows, |row| Some(row.told()?.rssi_dbm?.0), true),
        word("lock_state", rows, |row| Some(row.told()?.lock_state?.as_str())),
        word("reset_reason", rows, |row| Some(row.told()?.reset_reason?.as_str())),
        number::<UInt32Type, _>("free_heap_b", rows, |row| Some(row.told()?.free_heap_b?.0), true),
    ]
}

fn errors_and_events(rows: Rows<'_>) -> [Column; 6] {
    [
        word("code", rows, |row| Some(&row.error()?.code)),
        number::<UInt32Type, _>("count", rows, |row| Some(row.error().map_or(0, |error| error.count)), false),
        text("detail", rows, |row| said(&row.error()?.detail), true),
        word("event", rows, |row| Some(row.event()?.event.as_str())),
        text("fw_from", rows, |row| said(&row.event()?.fw_from), true),
        text("fw_to", rows, |row| said(&row.event()?.fw_to), true),
    ]
}

fn reports(rows: Rows<'_>) -> [Column; 7] {
    [
        text("gateway_id", rows, |row| said(&row.report()?.gateway_id), true),
        text("version", rows, |row| said(&row.report()?.version), true),
        number::<UInt32Type, _>("queue_depth", rows, |row| row.report()?.queue_depth, true),
        number::<UInt32Type, _>("publish_errors", rows, |row| row.report()?.publish_errors, true),
        number::<UInt32Type, _>("api_errors", rows, |row| row.report()?.api_errors, true),
        number::<UInt32Type, _>("api_latency_ms", rows, |row| row.report()?.api_latency_ms, true),
        number::<UInt32Type, _>("locks_heard", rows, |row| row.report()?.locks_heard, true),
    ]
}

/// A text that is empty where it is absent.
fn word<'a>(name: &'static str, rows: Rows<'a>, value: impl Fn(&'a Outgoing<'a>) -> Option<&'a str>) -> Column {
    text(name, rows, |row| value(row).or(Some("")), false)
}

fn said<'a>(text: &'a Option<Text<'_>>) -> Option<&'a str> {
    text.as_deref()
}
