//! Rows from columns: a stored batch whose rows borrow their texts from it. Knows Arrow, no file. Called by `rows`, the shipper and `record list`.
use super::ReadError;
use super::record::StoredRecord;
use super::words::{Coded, Words};
use arrow_array::types::{
    ArrowPrimitiveType, Float64Type, Int8Type, Int64Type, TimestampMillisecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{Array, ArrayRef, BooleanArray, ListArray, PrimitiveArray, RecordBatch, StringArray};
use zenei_detect::Heard;
use zenei_wire::record::MAX_PROFILE_SAMPLES;
use zenei_wire::{
    Adv, Body, Bytes, CentiCelsius, CentiDegrees, DbMilliwatts, DeviceTime, EngineTime, ErrorReport, Event, EventKind,
    GatewayReport, GatewayTime, Kind, LockState, Milliamps, Millis, Millivolts, Name, Op, OpKind, OpResult, OpSource,
    Percent, Profile, Record, ResetReason, State,
};

/// The site of a row whose site is in no column: more words were heard than the fleet's index keeps.
pub(super) const UNKNOWN_SITE: &str = "unknown";

/// Some rows of the store, in the order in which they were released.
#[derive(Debug)]
pub struct StoredBatch {
    rows: usize,
    pub(super) heading: Heading,
    pub(super) labels: Labels,
    state: StateColumns,
    op: OpColumns,
    error: ErrorColumns,
    event: EventColumns,
    report: ReportColumns,
    adv: AdvColumns,
}

#[derive(Debug)]
pub(super) struct Heading {
    pub(super) device_id: Words,
    pub(super) site: Words,
    pub(super) kind: Coded<Kind>,
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
pub(super) struct Labels {
    pub(super) model: Words,
    pub(super) hw_rev: Words,
    pub(super) lot: Words,
    pub(super) fw: Words,
    pub(super) service: Words,
    pub(super) gw: Words,
    pub(super) client_version: Words,
}

#[derive(Debug)]
struct StateColumns {
    battery_mv: PrimitiveArray<UInt16Type>,
    battery_pct: PrimitiveArray<UInt8Type>,
    temp_c: PrimitiveArray<Float64Type>,
    rssi_dbm: PrimitiveArray<Int8Type>,
    lock_state: Coded<LockState>,
    reset_reason: Coded<ResetReason>,
    free_heap_b: PrimitiveArray<UInt32Type>,
}

#[derive(Debug)]
struct OpColumns {
    op: Coded<OpKind>,
    source: Coded<OpSource>,
    result: Coded<OpResult>,
    latency_ms: PrimitiveArray<UInt32Type>,
    duration_ms: PrimitiveArray<UInt16Type>,
    peak_ma: PrimitiveArray<UInt16Type>,
    mean_ma: PrimitiveArray<UInt16Type>,
    current_ma: ListArray,
    samples: PrimitiveArray<UInt16Type>,
    sample_ms: PrimitiveArray<UInt16Type>,
    battery_min_mv: PrimitiveArray<UInt16Type>,
    angle_err_deg: PrimitiveArray<Float64Type>,
}

#[derive(Debug)]
struct ErrorColumns {
    code: Words,
    count: PrimitiveArray<UInt32Type>,
    detail: Words,
}

#[derive(Debug)]
struct EventColumns {
    event: Coded<EventKind>,
    fw_from: Words,
    fw_to: Words,
}

/// What only advertisements have; the rest of theirs stands in the columns of heartbeats and operations. A file of a version without them lacks all four.
#[derive(Debug)]
struct AdvColumns {
    problem: BooleanArray,
    seq_low: PrimitiveArray<UInt16Type>,
    packet_id: PrimitiveArray<UInt8Type>,
    counter: PrimitiveArray<UInt32Type>,
}

#[derive(Debug)]
struct ReportColumns {
    gateway_id: Words,
    version: Words,
    queue_depth: PrimitiveArray<UInt32Type>,
    publish_errors: PrimitiveArray<UInt32Type>,
    api_errors: PrimitiveArray<UInt32Type>,
    api_latency_ms: PrimitiveArray<UInt32Type>,
    locks_heard: PrimitiveArray<UInt32Type>,
}

impl StoredBatch {
    pub(crate) fn new(batch: &RecordBatch) -> Result<Self, ReadError> {
        Ok(Self {
            rows: batch.num_rows(),
            heading: Heading::new(batch)?,
            labels: Labels::new(batch)?,
            state: StateColumns::new(batch)?,
            op: OpColumns::new(batch)?,
            error: ErrorColumns {
                code: Words::new(batch, "code")?,
                count: column(batch, "count")?,
                detail: Words::new(batch, "detail")?,
            },
            event: EventColumns {
                event: Coded::new(batch, "event", EventKind::parse)?,
                fw_from: Words::new(batch, "fw_from")?,
                fw_to: Words::new(batch, "fw_to")?,
            },
            report: ReportColumns::new(batch)?,
            adv: AdvColumns::new(batch)?,
        })
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// A row as intake takes it: with what was stamped on, in place of what the lock left out.
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

    /// When the latest of its rows was heard; `None` where there is none.
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

    /// A row that owns what it says.
    ///
    /// # Errors
    /// As [`StoredBatch::heard`].
    ///
    /// # Panics
    /// Where `at` is not below [`StoredBatch::len`].
    pub fn stored(&self, at: usize) -> Result<StoredRecord, ReadError> {
        Ok(StoredRecord::new(self.heard(at)?, self.released_at(at), self.late(at)))
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
        match self.heading.kind.required(at)? {
            Kind::State => Ok(Body::State(self.state.read(at)?)),
            Kind::Op => Ok(Body::Op(self.op.read(at)?)),
            Kind::Error => Ok(Body::Error(self.error.read(at))),
            Kind::Event => Ok(Body::Event(self.event.read(at)?)),
            Kind::Gateway => Ok(Body::Gateway(self.report.read(at))),
            Kind::Adv => Ok(Body::Adv(self.adv.read(&self.state, &self.op, at)?)),
        }
    }
}

impl Heading {
    fn new(batch: &RecordBatch) -> Result<Self, ReadError> {
        Ok(Self {
            device_id: Words::new(batch, "device_id")?,
            site: Words::new(batch, "site")?,
            kind: Coded::new(batch, "kind", Kind::parse)?,
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

impl Labels {
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

impl StateColumns {
    fn new(batch: &RecordBatch) -> Result<Self, ReadError> {
        Ok(Self {
            battery_mv: column(batch, "battery_mv")?,
            battery_pct: column(batch, "battery_pct")?,
            temp_c: column(batch, "temp_c")?,
            rssi_dbm: column(batch, "rssi_dbm")?,
            lock_state: Coded::new(batch, "lock_state", LockState::parse)?,
            reset_reason: Coded::new(batch, "reset_reason", ResetReason::parse)?,
            free_heap_b: column(batch, "free_heap_b")?,
        })
    }

    fn read(&self, at: usize) -> Result<State, ReadError> {
        Ok(State {
            battery_mv: value(&self.battery_mv, at).map(Millivolts),
            battery_pct: value(&self.battery_pct, at).map(Percent),
            temp_c: value(&self.temp_c, at).map(|degrees| CentiCelsius(hundredths(degrees))),
            rssi_dbm: value(&self.rssi_dbm, at).map(DbMilliwatts),
            lock_state: self.lock_state.read(at)?,
            reset_reason: self.reset_reason.read(at)?,
            free_heap_b: value(&self.free_heap_b, at).map(Bytes),
        })
    }
}

impl OpColumns {
    fn new(batch: &RecordBatch) -> Result<Self, ReadError> {
        let current_ma: ListArray = column(batch, "current_ma")?;
        let samples = typed(current_ma.values(), "current_ma")?;
        Ok(Self {
            op: Coded::new(batch, "op", OpKind::parse)?,
            source: Coded::new(batch, "source", OpSource::parse)?,
            result: Coded::new(batch, "result", OpResult::parse)?,
            latency_ms: column(batch, "latency_ms")?,
            duration_ms: column(batch, "duration_ms")?,
            peak_ma: column(batch, "peak_ma")?,
            mean_ma: column(batch, "mean_ma")?,
            current_ma,
            samples,
            sample_ms: column(batch, "sample_ms")?,
            battery_min_mv: column(batch, "battery_min_mv")?,
            angle_err_deg: column(batch, "angle_err_deg")?,
        })
    }

    fn read(&self, at: usize) -> Result<Op, ReadError> {
        Ok(Op {
            op: self.op.required(at)?,
            source: self.source.read(at)?,
            result: self.result.required(at)?,
            latency_ms: value(&self.latency_ms, at).map(Millis),
            duration_ms: value(&self.duration_ms, at),
            peak_ma: value(&self.peak_ma, at).map(Milliamps),
            mean_ma: value(&self.mean_ma, at).map(Milliamps),
            current_ma: self.profile(at)?,
            sample_ms: value(&self.sample_ms, at),
            battery_min_mv: value(&self.battery_min_mv, at).map(Millivolts),
            angle_err_deg: value(&self.angle_err_deg, at).map(|degrees| CentiDegrees(hundredths(degrees))),
        })
    }

    fn profile(&self, at: usize) -> Result<Option<Profile>, ReadError> {
        if self.current_ma.is_null(at) {
            return Ok(None);
        }
        let offsets = self.current_ma.value_offsets();
        let place = |offset: i32| usize::try_from(offset).unwrap_or(0);
        let samples = &self.samples.values()[place(offsets[at])..place(offsets[at + 1])];
        match Profile::new(samples) {
            Some(profile) => Ok(Some(profile)),
            None => {
                let allowed = format!("at most {MAX_PROFILE_SAMPLES} samples are allowed");
                Err(bad("current_ma", &samples.len().to_string(), &allowed))
            }
        }
    }
}

impl ErrorColumns {
    fn read(&self, at: usize) -> ErrorReport<'_> {
        ErrorReport {
            code: self.code.lent(at).unwrap_or_default(),
            count: self.count.value(at),
            detail: self.detail.lent(at),
        }
    }
}

impl EventColumns {
    fn read(&self, at: usize) -> Result<Event<'_>, ReadError> {
        let event = self.event.required(at)?;
        Ok(Event { event, fw_from: self.fw_from.lent(at), fw_to: self.fw_to.lent(at) })
    }
}

impl AdvColumns {
    fn new(batch: &RecordBatch) -> Result<Self, ReadError> {
        let rows = batch.num_rows();
        if batch.column_by_name("problem").is_none() {
            return Ok(Self {
                problem: BooleanArray::new_null(rows),
                seq_low: PrimitiveArray::new_null(rows),
                packet_id: PrimitiveArray::new_null(rows),
                counter: PrimitiveArray::new_null(rows),
            });
        }
        Ok(Self {
            problem: column(batch, "problem")?,
            seq_low: column(batch, "seq_low")?,
            packet_id: column(batch, "packet_id")?,
            counter: column(batch, "counter")?,
        })
    }

    fn read(&self, state: &StateColumns, op: &OpColumns, at: usize) -> Result<Adv, ReadError> {
        let State { battery_mv, battery_pct, temp_c, rssi_dbm, lock_state, .. } = state.read(at)?;
        Ok(Adv {
            battery_mv,
            battery_pct,
            temp_c,
            rssi_dbm,
            lock_state,
            peak_ma: value(&op.peak_ma, at).map(Milliamps),
            problem: self.problem.is_valid(at).then(|| self.problem.value(at)),
            seq_low: value(&self.seq_low, at),
            packet_id: value(&self.packet_id, at),
            counter: value(&self.counter, at),
        })
    }
}

impl ReportColumns {
    fn new(batch: &RecordBatch) -> Result<Self, ReadError> {
        Ok(Self {
            gateway_id: Words::new(batch, "gateway_id")?,
            version: Words::new(batch, "version")?,
            queue_depth: column(batch, "queue_depth")?,
            publish_errors: column(batch, "publish_errors")?,
            api_errors: column(batch, "api_errors")?,
            api_latency_ms: column(batch, "api_latency_ms")?,
            locks_heard: column(batch, "locks_heard")?,
        })
    }

    fn read(&self, at: usize) -> GatewayReport<'_> {
        GatewayReport {
            gateway_id: self.gateway_id.lent(at),
            version: self.version.lent(at),
            queue_depth: value(&self.queue_depth, at),
            publish_errors: value(&self.publish_errors, at),
            api_errors: value(&self.api_errors, at),
            api_latency_ms: value(&self.api_latency_ms, at),
            locks_heard: value(&self.locks_heard, at),
        }
    }
}

/// A column as the type that the writer gave it.
pub(super) fn column<A: Array + Clone + 'static>(batch: &RecordBatch, name: &'static str) -> Result<A, ReadError> {
    let Some(array) = batch.column_by_name(name) else {
        return Err(ReadError::Column { name, found: "nothing".to_owned() });
    };
    typed(array, name)
}

fn typed<A: Array + Clone + 'static>(array: &ArrayRef, name: &'static str) -> Result<A, ReadError> {
    let typed = array.as_any().downcast_ref::<A>();
    typed.cloned().ok_or_else(|| ReadError::Column { name, found: array.data_type().to_string() })
}

pub(super) fn value<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, at: usize) -> Option<T::Native> {
    array.is_valid(at).then(|| array.value(at))
}

fn said(array: &StringArray, at: usize) -> Option<&str> {
    array.is_valid(at).then(|| array.value(at))
}

/// A name, checked.
pub(super) fn name<'a>(column: &'static str, text: &'a str) -> Result<Name<'a>, ReadError> {
    Name::new(text).map_err(|error| bad(column, text, &error.to_string()))
}

pub(super) fn bad(name: &'static str, found: &str, allowed: &str) -> ReadError {
    ReadError::Value { name, found: found.escape_default().take(80).collect(), allowed: allowed.to_owned() }
}

/// Back to fixed point; the writer divided a whole number of hundredths, so rounding finds it again.
fn hundredths(value: f64) -> i16 {
    (value * 100.0).round() as i16
}
