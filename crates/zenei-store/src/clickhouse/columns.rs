//! Makes the columns of each ClickHouse table from rows that were read back from sealed files; [`crate::columns`] makes
//! the single columns. Must not know servers. Called by the shipper.
use crate::columns::{Column, Dialect, Kept, LABELS, Numbers, flag, heading, number, own, table, text, time};
use crate::control::Sealed;
use crate::schema::Target;
use arrow_array::RecordBatch;
use arrow_array::types::{UInt16Type, UInt64Type};
use arrow_schema::ArrowError;
use zenei_detect::Heard;
use zenei_wire::fields::FIELDS;
use zenei_wire::{Body, EngineTime, GatewayTime, Op};

/// A row on its way.
#[derive(Clone, Debug)]
pub(super) struct Outgoing<'a> {
    pub(super) heard: Heard<'a>,
    pub(super) released_at: EngineTime,
    pub(super) late: bool,
    /// In which life of the lock it was made.
    pub(super) life: u32,
    /// For an operation: the battery at rest, if it is known, mV.
    pub(super) rest_mv: Option<u16>,
}

impl Outgoing<'_> {
    /// The sort key of the tables of rows; rows in this order cost the server least. The last two parts make the order
    /// total, so that equal rows give equal bytes.
    pub(super) fn key(&self) -> (&str, i64, u32, u64, u16) {
        let heard = &self.heard;
        (heard.device.as_str(), heard.record.ts.ms(), heard.record.seq.unwrap_or(0), heard.offset, heard.index)
    }

    /// The order of reception, by which the feed is sorted.
    pub(super) fn hearing(&self) -> (GatewayTime, u64, u16) {
        (self.heard.heard_at, self.heard.offset, self.heard.index)
    }

    pub(super) fn op(&self) -> Option<&Op> {
        if let Body::Op(op) = &self.heard.record.body { Some(op) } else { None }
    }
}

impl Kept for &Outgoing<'_> {
    fn device_id(&self) -> &str {
        self.heard.device.as_str()
    }

    fn site(&self) -> Option<&str> {
        Some(self.heard.site.as_str())
    }

    fn labels(&self) -> [Option<&str>; LABELS.len()] {
        let record = &self.heard.record;
        let labels = [
            &record.model,
            &record.hw_rev,
            &record.lot,
            &record.fw,
            &record.service,
            &record.gw,
            &record.client_version,
        ];
        labels.map(|label| label.as_deref())
    }

    fn numbers(&self) -> Numbers {
        let (heard, record) = (&self.heard, &self.heard.record);
        Numbers {
            life: self.life,
            boot: record.boot,
            seq: record.seq,
            identity: heard.identity,
            ts: record.ts.ms(),
            heard_at: heard.heard_at,
            released_at: self.released_at,
            offset: heard.offset,
            index: heard.index,
            late: self.late,
            authenticated: heard.authenticated,
            uptime_s: record.uptime_s,
        }
    }

    fn body(&self) -> &Body<'_> {
        &self.heard.record.body
    }
}

type Rows<'a> = &'a [&'a Outgoing<'a>];

/// Rows in the form of a table of records.
pub(super) fn of_records(target: Target, rows: Rows<'_>, gateway: &str) -> Result<RecordBatch, ArrowError> {
    let mut columns = heading(rows, gateway, Dialect::ClickHouse);
    columns.extend(FIELDS.iter().filter(|field| target.has(field)).map(|field| own(field, rows, Dialect::ClickHouse)));
    match target {
        Target::Operation => {
            columns.retain(|(name, ..)| name != "kind");
            columns.push(number::<UInt16Type, _>("rest_mv", rows, |row| row.rest_mv, true));
        }
        Target::MotorProfile => columns.retain(|(name, ..)| PROFILE.contains(&name.as_ref())),
        Target::Record | Target::DeadLetter | Target::Gap | Target::Feed | Target::Shipment => {}
    }
    table(columns)
}

/// The columns of the table of profiles.
const PROFILE: [&str; 10] = [
    "device_id",
    "ts_ms",
    "boot",
    "seq",
    "heard_at",
    "gateway",
    "spool_offset",
    "spool_index",
    "current_ma",
    "sample_ms",
];

/// Rows of all kinds, with their profiles and the range that they were sealed with.
pub(super) fn of_feed(rows: Rows<'_>, gateway: &str, sealed: Sealed) -> Result<RecordBatch, ArrowError> {
    let mut columns: Vec<Column> = heading(rows, gateway, Dialect::ClickHouse);
    columns.extend(FIELDS.iter().map(|field| own(field, rows, Dialect::ClickHouse)));
    columns.extend([
        flag("has_profile", rows, |row| row.op().is_some_and(|op| op.current_ma.is_some())),
        number::<UInt64Type, _>("sealed_offset", rows, |_| Some(sealed.offset), false),
        time("sealed_at", rows, |_| sealed.advanced_to.ms()),
    ]);
    table(columns)
}

/// How far a gateway has shipped, with the extent of its newest range in the feed: how many rows, and when the first of
/// them was received.
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
