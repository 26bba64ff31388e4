//! Columns from rows: one function per column, so that a column's name, type and meaning stand in one line. Knows Arrow, no file.
//! Called when a range is sealed.
//!
//! `ts` is a plain integer (ms since 1970): a lock's clock may say anything, and a reader that turns it into a calendar date may refuse the whole
//! file for one value out of its range. `heard_at` and `released_at` are the house's own clocks and stand as timestamps. Temperatures and
//! angles are floats in degrees: hundredths are exact after rounding, and every reader of Parquet shows them as people expect.
use crate::dead_letter::DeadLetter;
use arrow_array::builder::{ListBuilder, UInt16Builder};
use arrow_array::types::{
    ArrowPrimitiveType, Float64Type, Int8Type, Int64Type, TimestampMillisecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{ArrayRef, BinaryArray, BooleanArray, PrimitiveArray, RecordBatch, StringArray};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use std::sync::Arc;
use zenei_detect::{Fleet, Gap, Row};
use zenei_wire::{
    Adv, Body, CentiCelsius, DbMilliwatts, ErrorReport, Event, GatewayReport, LockState, Milliamps, Millivolts, Op,
    Percent, State, Text,
};

/// Name, array, and whether it may have nulls.
pub(crate) type Column = (&'static str, ArrayRef, bool);

/// A range's rows.
pub(super) fn of_rows(rows: &[Row], fleet: &Fleet, gateway: &str) -> Result<RecordBatch, ArrowError> {
    let mut columns = heading(rows, fleet, gateway);
    columns.extend(labels(rows, fleet));
    columns.extend(states(rows));
    columns.extend(ops(rows));
    columns.extend(errors_and_events(rows));
    columns.extend(gateways(rows));
    columns.extend(adverts(rows));
    table(columns)
}

/// A range's dead letters.
pub(super) fn of_dead_letters(dead: &[DeadLetter], gateway: &str) -> Result<RecordBatch, ArrowError> {
    let bytes: BinaryArray = dead.iter().map(|letter| Some(&*letter.bytes)).collect();
    table(vec![
        text("reason", dead, |letter| Some(letter.reason.as_str()), false),
        text("detail", dead, |letter| Some(&letter.detail), false),
        text("topic", dead, |letter| Some(&letter.topic), false),
        ("bytes", Arc::new(bytes), false),
        flag("cut", dead, |letter| letter.cut),
        time("heard_at", dead, |letter| letter.heard_at.ms()),
        number::<UInt64Type, _>("offset", dead, |letter| Some(letter.offset), false),
        number::<UInt16Type, _>("index", dead, |letter| Some(letter.index), false),
        flag("authenticated", dead, |letter| letter.authenticated),
        text("gateway", dead, |_| Some(gateway), false),
    ])
}

/// A range's gaps.
pub(super) fn of_gaps(gaps: &[Gap], fleet: &Fleet, gateway: &str) -> Result<RecordBatch, ArrowError> {
    table(vec![
        text("device_id", gaps, |gap| Some(fleet.device_id(gap.device)), false),
        number::<UInt32Type, _>("boot", gaps, |gap| Some(gap.boot), false),
        number::<UInt32Type, _>("from_seq", gaps, |gap| Some(gap.from_seq), false),
        number::<UInt32Type, _>("to_seq", gaps, |gap| Some(gap.to_seq), false),
        time("at", gaps, |gap| gap.at.ms()),
        text("gateway", gaps, |_| Some(gateway), false),
    ])
}

fn heading(rows: &[Row], fleet: &Fleet, gateway: &str) -> Vec<Column> {
    let identity = |row: &Row| (row.identity != 0).then(|| format!("{:032x}", row.identity));
    let identities: StringArray = rows.iter().map(identity).collect();
    vec![
        text("device_id", rows, |row| Some(fleet.device_id(row.device)), false),
        text("site", rows, |row| fleet.word(row.site), true),
        text("kind", rows, |row| Some(row.body.kind().as_str()), false),
        number::<UInt32Type, _>("boot", rows, |row| row.boot, true),
        number::<UInt32Type, _>("seq", rows, |row| row.seq, true),
        ("identity", Arc::new(identities), true),
        number::<Int64Type, _>("ts", rows, |row| Some(row.ts.ms()), false),
        time("heard_at", rows, |row| row.heard_at.ms()),
        time("released_at", rows, |row| row.released_at.ms()),
        number::<UInt64Type, _>("offset", rows, |row| Some(row.offset), false),
        number::<UInt16Type, _>("index", rows, |row| Some(row.index), false),
        flag("late", rows, |row| row.late),
        flag("authenticated", rows, |row| row.authenticated),
        text("gateway", rows, |_| Some(gateway), false),
        number::<UInt32Type, _>("uptime_s", rows, |row| row.uptime_s, true),
    ]
}

fn labels(rows: &[Row], fleet: &Fleet) -> Vec<Column> {
    vec![
        text("model", rows, |row| fleet.word(row.labels.model), true),
        text("hw_rev", rows, |row| fleet.word(row.labels.hw_rev), true),
        text("lot", rows, |row| fleet.word(row.labels.lot), true),
        text("fw", rows, |row| fleet.word(row.labels.fw), true),
        text("service", rows, |row| fleet.word(row.labels.service), true),
        text("gw", rows, |row| fleet.word(row.labels.gw), true),
        text("client_version", rows, |row| fleet.word(row.labels.client_version), true),
    ]
}

fn states(rows: &[Row]) -> Vec<Column> {
    vec![
        number::<UInt16Type, _>("battery_mv", rows, |row| Some(power(row).0?.0), true),
        number::<UInt8Type, _>("battery_pct", rows, |row| Some(power(row).1?.0), true),
        number::<Float64Type, _>("temp_c", rows, |row| Some(power(row).2?.celsius()), true),
        number::<Int8Type, _>("rssi_dbm", rows, |row| Some(link(row).0?.0), true),
        text("lock_state", rows, |row| Some(link(row).1?.as_str()), true),
        text("reset_reason", rows, |row| Some(state(row)?.reset_reason?.as_str()), true),
        number::<UInt32Type, _>("free_heap_b", rows, |row| Some(state(row)?.free_heap_b?.0), true),
    ]
}

fn ops(rows: &[Row]) -> Vec<Column> {
    vec![
        text("op", rows, |row| Some(op(row)?.op.as_str()), true),
        text("source", rows, |row| Some(op(row)?.source?.as_str()), true),
        text("result", rows, |row| Some(op(row)?.result.as_str()), true),
        number::<UInt32Type, _>("latency_ms", rows, |row| Some(op(row)?.latency_ms?.0), true),
        number::<UInt16Type, _>("duration_ms", rows, |row| op(row)?.duration_ms, true),
        number::<UInt16Type, _>("peak_ma", rows, |row| Some(peak(row)?.0), true),
        number::<UInt16Type, _>("mean_ma", rows, |row| Some(op(row)?.mean_ma?.0), true),
        profiles(rows),
        number::<UInt16Type, _>("sample_ms", rows, |row| op(row)?.sample_ms, true),
        number::<UInt16Type, _>("battery_min_mv", rows, |row| Some(op(row)?.battery_min_mv?.0), true),
        number::<Float64Type, _>("angle_err_deg", rows, |row| Some(op(row)?.angle_err_deg?.degrees()), true),
    ]
}

fn errors_and_events(rows: &[Row]) -> Vec<Column> {
    vec![
        text("code", rows, |row| Some(&error(row)?.code), true),
        number::<UInt32Type, _>("count", rows, |row| Some(error(row)?.count), true),
        text("detail", rows, |row| said(&error(row)?.detail), true),
        text("event", rows, |row| Some(event(row)?.event.as_str()), true),
        text("fw_from", rows, |row| said(&event(row)?.fw_from), true),
        text("fw_to", rows, |row| said(&event(row)?.fw_to), true),
    ]
}

fn gateways(rows: &[Row]) -> Vec<Column> {
    vec![
        text("gateway_id", rows, |row| said(&report(row)?.gateway_id), true),
        text("version", rows, |row| said(&report(row)?.version), true),
        number::<UInt32Type, _>("queue_depth", rows, |row| report(row)?.queue_depth, true),
        number::<UInt32Type, _>("publish_errors", rows, |row| report(row)?.publish_errors, true),
        number::<UInt32Type, _>("api_errors", rows, |row| report(row)?.api_errors, true),
        number::<UInt32Type, _>("api_latency_ms", rows, |row| report(row)?.api_latency_ms, true),
        number::<UInt32Type, _>("locks_heard", rows, |row| report(row)?.locks_heard, true),
    ]
}

fn adverts(rows: &[Row]) -> Vec<Column> {
    let problem: BooleanArray = rows.iter().map(|row| adv(row)?.problem).collect();
    vec![
        ("problem", Arc::new(problem), true),
        number::<UInt16Type, _>("seq_low", rows, |row| adv(row)?.seq_low, true),
        number::<UInt8Type, _>("packet_id", rows, |row| adv(row)?.packet_id, true),
        number::<UInt32Type, _>("counter", rows, |row| adv(row)?.counter, true),
    ]
}

/// What heartbeats and advertisements both say of battery and temperature.
fn power(row: &Row) -> (Option<Millivolts>, Option<Percent>, Option<CentiCelsius>) {
    match (state(row), adv(row)) {
        (Some(state), _) => (state.battery_mv, state.battery_pct, state.temp_c),
        (None, Some(adv)) => (adv.battery_mv, adv.battery_pct, adv.temp_c),
        (None, None) => (None, None, None),
    }
}

/// And of the link and the bolt.
fn link(row: &Row) -> (Option<DbMilliwatts>, Option<LockState>) {
    match (state(row), adv(row)) {
        (Some(state), _) => (state.rssi_dbm, state.lock_state),
        (None, Some(adv)) => (adv.rssi_dbm, adv.lock_state),
        (None, None) => (None, None),
    }
}

fn peak(row: &Row) -> Option<Milliamps> {
    op(row).map_or_else(|| adv(row)?.peak_ma, |op| op.peak_ma)
}

fn profiles(rows: &[Row]) -> Column {
    let item = Field::new("item", DataType::UInt16, false);
    let mut lists = ListBuilder::new(UInt16Builder::new()).with_field(item);
    for row in rows {
        let profile = op(row).and_then(|op| op.current_ma);
        if let Some(profile) = &profile {
            lists.values().append_slice(profile.samples());
        }
        lists.append(profile.is_some());
    }
    ("current_ma", Arc::new(lists.finish()), true)
}

fn state(row: &Row) -> Option<&State> {
    if let Body::State(state) = &row.body { Some(state) } else { None }
}

fn op(row: &Row) -> Option<&Op> {
    if let Body::Op(op) = &row.body { Some(op) } else { None }
}

fn error(row: &Row) -> Option<&ErrorReport<'static>> {
    if let Body::Error(error) = &row.body { Some(error) } else { None }
}

fn event(row: &Row) -> Option<&Event<'static>> {
    if let Body::Event(event) = &row.body { Some(event) } else { None }
}

fn report(row: &Row) -> Option<&GatewayReport<'static>> {
    if let Body::Gateway(report) = &row.body { Some(report) } else { None }
}

fn adv(row: &Row) -> Option<&Adv> {
    if let Body::Adv(adv) = &row.body { Some(adv) } else { None }
}

fn said<'a>(text: &'a Option<Text<'static>>) -> Option<&'a str> {
    text.as_deref()
}

/// A column of texts.
pub(crate) fn text<'a, R>(
    name: &'static str,
    rows: &'a [R],
    value: impl Fn(&'a R) -> Option<&'a str>,
    null: bool,
) -> Column {
    let array: StringArray = rows.iter().map(value).collect();
    (name, Arc::new(array), null)
}

/// A column of numbers.
pub(crate) fn number<'a, T: ArrowPrimitiveType, R>(
    name: &'static str,
    rows: &'a [R],
    value: impl Fn(&'a R) -> Option<T::Native>,
    null: bool,
) -> Column {
    let array: PrimitiveArray<T> = rows.iter().map(value).collect();
    (name, Arc::new(array), null)
}

/// A column of the house's own times.
pub(crate) fn time<'a, R>(name: &'static str, rows: &'a [R], ms: impl Fn(&'a R) -> i64) -> Column {
    let array: PrimitiveArray<TimestampMillisecondType> = rows.iter().map(|row| Some(ms(row))).collect();
    (name, Arc::new(array.with_timezone("UTC")), false)
}

/// A column of yes and no.
pub(crate) fn flag<'a, R>(name: &'static str, rows: &'a [R], value: impl Fn(&'a R) -> bool) -> Column {
    let array: BooleanArray = rows.iter().map(|row| Some(value(row))).collect();
    (name, Arc::new(array), false)
}

/// The columns, side by side.
pub(crate) fn table(columns: Vec<Column>) -> Result<RecordBatch, ArrowError> {
    let field = |(name, array, null): &Column| Field::new(*name, array.data_type().clone(), *null);
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, array, _)| array).collect())
}
