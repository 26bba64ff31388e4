//! Rows from columns: a stored batch whose rows borrow their texts from it. Knows Arrow, no file. Called by replay and `record list`.
use super::ReadError;
use super::record::StoredRecord;
use arrow_array::types::{
    ArrowPrimitiveType, Float64Type, Int8Type, Int64Type, TimestampMillisecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{Array, ArrayRef, BooleanArray, ListArray, PrimitiveArray, RecordBatch, StringArray};
use std::borrow::Cow;
use zenei_detect::Heard;
use zenei_wire::record::MAX_PROFILE_SAMPLES;
use zenei_wire::{
    Adv, Body, Bytes, CentiCelsius, CentiDegrees, DbMilliwatts, DeviceTime, EngineTime, ErrorReport, Event, EventKind,
    GatewayReport, GatewayTime, Kind, LockState, Milliamps, Millis, Millivolts, Name, Op, OpKind, OpResult, OpSource,
    Percent, Profile, Record, ResetReason, State, Text,
};

/// The site of a row whose site is in no column: more words were heard than the fleet's index keeps.
pub(super) const UNKNOWN_SITE: &str = "unknown";

/// Some rows of the store, in the order in which they were released.
#[derive(Debug)]
pub struct StoredBatch {
    rows: usize,
    heading: Heading,
    labels: Labels,
    state: StateColumns,
    op: OpColumns,
    error: ErrorColumns,
    event: EventColumns,
    report: ReportColumns,
    adv: AdvColumns,
}

#[derive(Debug)]
struct Heading {
    device_id: StringArray,
    site: StringArray,
    kind: StringArray,
    boot: PrimitiveArray<UInt32Type>,
    seq: PrimitiveArray<UInt32Type>,
    identity: StringArray,
    ts: PrimitiveArray<Int64Type>,
    heard_at: PrimitiveArray<TimestampMillisecondType>,
    released_at: PrimitiveArray<TimestampMillisecondType>,
    offset: PrimitiveArray<UInt64Type>,
    index: PrimitiveArray<UInt16Type>,
    late: BooleanArray,
    authenticated: BooleanArray,
    uptime_s: PrimitiveArray<UInt32Type>,
}

#[derive(Debug)]
struct Labels {
    model: StringArray,
    hw_rev: StringArray,
    lot: StringArray,
    fw: StringArray,
    service: StringArray,
    gw: StringArray,
    client_version: StringArray,
}

#[derive(Debug)]
struct StateColumns {
    battery_mv: PrimitiveArray<UInt16Type>,
    battery_pct: PrimitiveArray<UInt8Type>,
    temp_c: PrimitiveArray<Float64Type>,
    rssi_dbm: PrimitiveArray<Int8Type>,
    lock_state: StringArray,
    reset_reason: StringArray,
    free_heap_b: PrimitiveArray<UInt32Type>,
}

#[derive(Debug)]
struct OpColumns {
    op: StringArray,
    source: StringArray,
    result: StringArray,
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
    code: StringArray,
    count: PrimitiveArray<UInt32Type>,
    detail: StringArray,
}

#[derive(Debug)]
struct EventColumns {
    event: StringArray,
    fw_from: StringArray,
    fw_to: StringArray,
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
    gateway_id: StringArray,
    version: StringArray,
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
                code: column(batch, "code")?,
                count: column(batch, "count")?,
                detail: column(batch, "detail")?,
            },
            event: EventColumns {
                event: column(batch, "event")?,
                fw_from: column(batch, "fw_from")?,
                fw_to: column(batch, "fw_to")?,
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
        let site = said(&heading.site, at).unwrap_or(UNKNOWN_SITE);
        Ok(Heard {
            site: Name::new(site).map_err(|error| bad("site", site, &error.to_string()))?,
            device: self.device(at)?,
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

    fn device(&self, at: usize) -> Result<Name<'_>, ReadError> {
        let device = self.heading.device_id.value(at);
        Name::new(device).map_err(|error| bad("device_id", device, &error.to_string()))
    }

    fn identity(&self, at: usize) -> Result<u128, ReadError> {
        let Some(text) = said(&self.heading.identity, at) else { return Ok(0) };
        u128::from_str_radix(text, 16).map_err(|error| bad("identity", text, &error.to_string()))
    }

    fn record(&self, at: usize) -> Result<Record<'_>, ReadError> {
        let (heading, labels) = (&self.heading, &self.labels);
        Ok(Record {
            ts: DeviceTime(heading.ts.value(at)),
            boot: value(&heading.boot, at),
            seq: value(&heading.seq, at),
            model: owned(&labels.model, at),
            hw_rev: owned(&labels.hw_rev, at),
            lot: owned(&labels.lot, at),
            fw: owned(&labels.fw, at),
            service: owned(&labels.service, at),
            gw: owned(&labels.gw, at),
            client_version: owned(&labels.client_version, at),
            uptime_s: value(&heading.uptime_s, at),
            body: self.body(at)?,
            unknown_fields: 0,
        })
    }

    fn body(&self, at: usize) -> Result<Body<'_>, ReadError> {
        let kind = self.heading.kind.value(at);
        match Kind::parse(kind) {
            Some(Kind::State) => Ok(Body::State(self.state.read(at)?)),
            Some(Kind::Op) => Ok(Body::Op(self.op.read(at)?)),
            Some(Kind::Error) => Ok(Body::Error(self.error.read(at))),
            Some(Kind::Event) => Ok(Body::Event(self.event.read(at)?)),
            Some(Kind::Gateway) => Ok(Body::Gateway(self.report.read(at))),
            Some(Kind::Adv) => Ok(Body::Adv(self.adv.read(&self.state, &self.op, at)?)),
            None => Err(bad("kind", kind, "state, op, error, event, gateway and adv are stored")),
        }
    }
}

impl Heading {
    fn new(batch: &RecordBatch) -> Result<Self, ReadError> {
        Ok(Self {
            device_id: column(batch, "device_id")?,
            site: column(batch, "site")?,
            kind: column(batch, "kind")?,
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
            model: column(batch, "model")?,
            hw_rev: column(batch, "hw_rev")?,
            lot: column(batch, "lot")?,
            fw: column(batch, "fw")?,
            service: column(batch, "service")?,
            gw: column(batch, "gw")?,
            client_version: column(batch, "client_version")?,
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
            lock_state: column(batch, "lock_state")?,
            reset_reason: column(batch, "reset_reason")?,
            free_heap_b: column(batch, "free_heap_b")?,
        })
    }

    fn read(&self, at: usize) -> Result<State, ReadError> {
        Ok(State {
            battery_mv: value(&self.battery_mv, at).map(Millivolts),
            battery_pct: value(&self.battery_pct, at).map(Percent),
            temp_c: value(&self.temp_c, at).map(|degrees| CentiCelsius(hundredths(degrees))),
            rssi_dbm: value(&self.rssi_dbm, at).map(DbMilliwatts),
            lock_state: word("lock_state", &self.lock_state, at, LockState::parse)?,
            reset_reason: word("reset_reason", &self.reset_reason, at, ResetReason::parse)?,
            free_heap_b: value(&self.free_heap_b, at).map(Bytes),
        })
    }
}

impl OpColumns {
    fn new(batch: &RecordBatch) -> Result<Self, ReadError> {
        let current_ma: ListArray = column(batch, "current_ma")?;
        let samples = typed(current_ma.values(), "current_ma")?;
        Ok(Self {
            op: column(batch, "op")?,
            source: column(batch, "source")?,
            result: column(batch, "result")?,
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
            op: required("op", word("op", &self.op, at, OpKind::parse)?)?,
            source: word("source", &self.source, at, OpSource::parse)?,
            result: required("result", word("result", &self.result, at, OpResult::parse)?)?,
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
            code: Cow::Borrowed(self.code.value(at)),
            count: self.count.value(at),
            detail: owned(&self.detail, at),
        }
    }
}

impl EventColumns {
    fn read(&self, at: usize) -> Result<Event<'_>, ReadError> {
        let event = required("event", word("event", &self.event, at, EventKind::parse)?)?;
        Ok(Event { event, fw_from: owned(&self.fw_from, at), fw_to: owned(&self.fw_to, at) })
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
            gateway_id: column(batch, "gateway_id")?,
            version: column(batch, "version")?,
            queue_depth: column(batch, "queue_depth")?,
            publish_errors: column(batch, "publish_errors")?,
            api_errors: column(batch, "api_errors")?,
            api_latency_ms: column(batch, "api_latency_ms")?,
            locks_heard: column(batch, "locks_heard")?,
        })
    }

    fn read(&self, at: usize) -> GatewayReport<'_> {
        GatewayReport {
            gateway_id: owned(&self.gateway_id, at),
            version: owned(&self.version, at),
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

fn value<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, at: usize) -> Option<T::Native> {
    array.is_valid(at).then(|| array.value(at))
}

fn said(array: &StringArray, at: usize) -> Option<&str> {
    array.is_valid(at).then(|| array.value(at))
}

fn owned(array: &StringArray, at: usize) -> Option<Text<'_>> {
    said(array, at).map(Cow::Borrowed)
}

fn word<T>(
    name: &'static str,
    array: &StringArray,
    at: usize,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, ReadError> {
    let Some(text) = said(array, at) else { return Ok(None) };
    parse(text).map(Some).ok_or_else(|| bad(name, text, "the contract has no such word"))
}

fn required<T>(name: &'static str, value: Option<T>) -> Result<T, ReadError> {
    value.ok_or_else(|| bad(name, "null", "its kind requires it"))
}

fn bad(name: &'static str, found: &str, allowed: &str) -> ReadError {
    ReadError::Value { name, found: found.escape_default().take(80).collect(), allowed: allowed.to_owned() }
}

/// Back to fixed point; the writer divided a whole number of hundredths, so rounding finds it again.
fn hundredths(value: f64) -> i16 {
    (value * 100.0).round() as i16
}
