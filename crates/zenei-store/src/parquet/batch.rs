//! A stored batch: makes rows from columns, and its rows borrow their texts from it. Must not know files. Called by
//! `rows`, the shipper, the tail, the lab and `record list`.
use super::error::ReadError;
use super::own::OwnColumns;
use super::record::StoredRecord;
use super::value::{UNKNOWN_SITE, bad, column, name, said, value};
use super::words::{Coded, Words};
use arrow_array::types::{Int64Type, TimestampMillisecondType, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{BooleanArray, PrimitiveArray, RecordBatch, StringArray};
use zenei_detect::Heard;
use zenei_wire::{Body, DeviceTime, EngineTime, GatewayTime, Kind, Record};

/// Some rows of the store, in the order in which they were released.
#[derive(Debug)]
pub struct StoredBatch {
    rows: usize,
    pub(super) heading: Heading,
    pub(super) labels: LabelColumns,
    own: OwnColumns,
}

#[derive(Debug)]
pub(super) struct Heading {
    pub(super) device_id: Words,
    pub(super) site: Words,
    pub(super) kind: Coded<Kind>,
    /// `None` in a file of a version that did not count lives.
    pub(super) life: Option<PrimitiveArray<UInt32Type>>,
    pub(super) boot: PrimitiveArray<UInt32Type>,
    pub(super) seq: PrimitiveArray<UInt32Type>,
    pub(super) identity: StringArray,
    pub(super) ts: PrimitiveArray<Int64Type>,
    pub(super) heard_at: PrimitiveArray<TimestampMillisecondType>,
    pub(super) released_at: PrimitiveArray<TimestampMillisecondType>,
    pub(super) offset: PrimitiveArray<UInt64Type>,
    pub(super) index: PrimitiveArray<UInt16Type>,
    pub(super) late: BooleanArray,
    pub(super) authenticated: BooleanArray,
    pub(super) uptime_s: PrimitiveArray<UInt32Type>,
}

#[derive(Debug)]
pub(super) struct LabelColumns {
    pub(super) model: Words,
    pub(super) hw_rev: Words,
    pub(super) lot: Words,
    pub(super) fw: Words,
    pub(super) service: Words,
    pub(super) gw: Words,
    pub(super) client_version: Words,
}

impl StoredBatch {
    pub(crate) fn new(batch: &RecordBatch) -> Result<Self, ReadError> {
        Ok(Self {
            rows: batch.num_rows(),
            heading: Heading::new(batch)?,
            labels: LabelColumns::new(batch)?,
            own: OwnColumns::new(batch)?,
        })
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// A row as intake takes it, with the values that intake added for those that the lock left out.
    ///
    /// # Errors
    /// [`ReadError::Value`] for a value that no version 1 writer writes.
    ///
    /// # Panics
    /// Where `at` is not below [`StoredBatch::len`].
    pub fn heard(&self, at: usize) -> Result<Heard<'_>, ReadError> {
        let heading = &self.heading;
        let site = heading.site.said(at).unwrap_or(UNKNOWN_SITE);
        Ok(Heard {
            site: name("site", site)?,
            device: name("device_id", heading.device_id.said(at).unwrap_or_default())?,
            record: self.record(at)?,
            identity: self.identity(at)?,
            heard_at: GatewayTime(heading.heard_at.value(at)),
            offset: heading.offset.value(at),
            index: heading.index.value(at),
            authenticated: heading.authenticated.value(at),
        })
    }

    /// When the latest of its rows was received; `None` if there is none.
    pub fn heard_last(&self) -> Option<GatewayTime> {
        self.heading.heard_at.values().iter().copied().max().map(GatewayTime)
    }

    /// When intake released a row.
    ///
    /// # Panics
    /// Where `at` is not below [`StoredBatch::len`].
    pub fn released_at(&self, at: usize) -> EngineTime {
        EngineTime(self.heading.released_at.value(at))
    }

    /// Whether a row was late.
    ///
    /// # Panics
    /// Where `at` is not below [`StoredBatch::len`].
    pub fn late(&self, at: usize) -> bool {
        self.heading.late.value(at)
    }

    /// In which life of its lock a row was made; 0 in a file of a version that did not count lives.
    ///
    /// # Panics
    /// Where `at` is not below [`StoredBatch::len`].
    pub fn life(&self, at: usize) -> u32 {
        self.heading.life.as_ref().map_or(0, |life| life.value(at))
    }

    /// A row that owns its texts.
    ///
    /// # Errors
    /// As [`StoredBatch::heard`].
    ///
    /// # Panics
    /// Where `at` is not below [`StoredBatch::len`].
    pub fn stored(&self, at: usize) -> Result<StoredRecord, ReadError> {
        Ok(StoredRecord::new(self.heard(at)?, self.released_at(at), self.late(at), self.life(at)))
    }

    pub(super) fn identity(&self, at: usize) -> Result<u128, ReadError> {
        let Some(text) = said(&self.heading.identity, at) else { return Ok(0) };
        u128::from_str_radix(text, 16).map_err(|error| bad("identity", text, &error.to_string()))
    }

    fn record(&self, at: usize) -> Result<Record<'_>, ReadError> {
        let (heading, labels) = (&self.heading, &self.labels);
        Ok(Record {
            ts: DeviceTime(heading.ts.value(at)),
            boot: value(&heading.boot, at),
            seq: value(&heading.seq, at),
            model: labels.model.lent(at),
            hw_rev: labels.hw_rev.lent(at),
            lot: labels.lot.lent(at),
            fw: labels.fw.lent(at),
            service: labels.service.lent(at),
            gw: labels.gw.lent(at),
            client_version: labels.client_version.lent(at),
            uptime_s: value(&heading.uptime_s, at),
            body: self.body(at)?,
            unknown_fields: 0,
        })
    }

    pub(super) fn body(&self, at: usize) -> Result<Body<'_>, ReadError> {
        self.own.body(self.heading.kind.required(at)?, at)
    }
}

impl Heading {
    fn new(batch: &RecordBatch) -> Result<Self, ReadError> {
        Ok(Self {
            device_id: Words::new(batch, "device_id")?,
            site: Words::new(batch, "site")?,
            kind: Coded::new(batch, "kind", Kind::parse)?,
            life: batch.column_by_name("life").is_some().then(|| column(batch, "life")).transpose()?,
            boot: column(batch, "boot")?,
            seq: column(batch, "seq")?,
            identity: column(batch, "identity")?,
            ts: column(batch, "ts")?,
            heard_at: column(batch, "heard_at")?,
            released_at: column(batch, "released_at")?,
            offset: column(batch, "offset")?,
            index: column(batch, "index")?,
            late: column(batch, "late")?,
            authenticated: column(batch, "authenticated")?,
            uptime_s: column(batch, "uptime_s")?,
        })
    }
}

impl LabelColumns {
    fn new(batch: &RecordBatch) -> Result<Self, ReadError> {
        Ok(Self {
            model: Words::new(batch, "model")?,
            hw_rev: Words::new(batch, "hw_rev")?,
            lot: Words::new(batch, "lot")?,
            fw: Words::new(batch, "fw")?,
            service: Words::new(batch, "service")?,
            gw: Words::new(batch, "gw")?,
            client_version: Words::new(batch, "client_version")?,
        })
    }
}
