//! A record that is being read: which field of which kind takes which type, and what is missing at the end. The contract's tables
//! stand here once, for JSON and CBOR both.
//!
//! A field that comes twice is checked each time, and the last one counts: so read most JSON parsers, and so both codecs agree.
//! The first refusal counts; the codec reads on, because the whole message must be well-formed. Texts of unknown fields are not
//! checked for length or control characters: an unknown field is never an error. Called by both codecs.
use crate::record::{
    Adv, Body, ErrorReport, Event, EventKind, GatewayReport, Kind, LockState, Op, OpKind, OpResult, OpSource, Record,
    ResetReason, State, Text,
};
use crate::refusal::{Reason, Refusal};
use crate::time::DeviceTime;
use crate::topic::Topic;
use crate::units::{Bytes, CentiCelsius, CentiDegrees, DbMilliwatts, Milliamps, Millis, Millivolts, Percent};
use crate::value::{Samples, Value, code, excerpt, hundredths, integer, number16, number32, profile, text, time, word};
use alloc::borrow::Cow;
use alloc::format;

/// A record that is being read.
pub(crate) struct Draft<'a> {
    topic: Topic<'a>,
    /// Placeholders stand for the required fields until [`Draft::finish`].
    record: Record<'a>,
    ts: Option<DeviceTime>,
    op: Option<OpKind>,
    result: Option<OpResult>,
    code: Option<Text<'a>>,
    event: Option<EventKind>,
    refusal: Option<Refusal>,
}

impl<'a> Draft<'a> {
    /// An empty record of the topic's kind.
    #[inline]
    pub(crate) fn new(topic: &Topic<'a>) -> Self {
        let mut refusal = None;
        let body = match topic.kind {
            Kind::State => Body::State(State::default()),
            Kind::Op => Body::Op(Op::of(OpKind::Lock, OpResult::Ok)),
            Kind::Error => Body::Error(ErrorReport { code: Cow::Borrowed(""), count: 1, detail: None }),
            Kind::Event => Body::Event(Event { event: EventKind::Installed, fw_from: None, fw_to: None }),
            Kind::Gateway => Body::Gateway(GatewayReport::default()),
            Kind::Adv => {
                let detail = "an advertisement is no message; state, op, error, event and gateway are";
                refusal = Some(Refusal::new(Reason::UnknownKind, detail));
                Body::Adv(Adv::default())
            }
        };
        let record = Record {
            ts: DeviceTime(0),
            boot: None,
            seq: None,
            model: None,
            hw_rev: None,
            lot: None,
            fw: None,
            service: None,
            gw: None,
            client_version: None,
            uptime_s: None,
            body,
            unknown_fields: 0,
        };
        Self { topic: *topic, record, ts: None, op: None, result: None, code: None, event: None, refusal }
    }

    /// Takes a field. `samples` are the elements of the value where it is an array.
    pub(crate) fn field(&mut self, name: &str, value: Value<'a>, samples: &Samples) {
        if self.refusal.is_some() {
            return;
        }
        match self.set(name, value, samples) {
            Ok(true) => {}
            Ok(false) => self.record.unknown_fields = self.record.unknown_fields.saturating_add(1),
            Err(refusal) => self.refusal = Some(refusal),
        }
    }

    /// The record.
    ///
    /// # Errors
    /// The first refusal of a field; else `missing_field` where a required one is absent.
    #[inline]
    pub(crate) fn finish(self) -> Result<Record<'a>, Refusal> {
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
        let mut record = self.record;
        record.ts = required("ts", self.ts)?;
        match &mut record.body {
            Body::Op(op) => {
                op.op = required("op", self.op)?;
                op.result = required("result", self.result)?;
            }
            Body::Error(error) => error.code = required("code", self.code)?,
            Body::Event(event) => event.event = required("event", self.event)?,
            Body::State(_) | Body::Gateway(_) | Body::Adv(_) => {}
        }
        Ok(record)
    }

    /// Sets a field; false where the contract does not know it.
    fn set(&mut self, name: &str, value: Value<'a>, samples: &Samples) -> Result<bool, Refusal> {
        let record = &mut self.record;
        match name {
            "ts" => self.ts = time(name, value)?,
            "boot" => record.boot = number32(name, &value)?,
            "seq" => record.seq = number32(name, &value)?,
            "model" => record.model = text(name, value)?,
            "hw_rev" => record.hw_rev = text(name, value)?,
            "lot" => record.lot = text(name, value)?,
            "fw" => record.fw = text(name, value)?,
            "service" => record.service = text(name, value)?,
            "gw" => record.gw = text(name, value)?,
            // The contract lists it under `state` and `op`; it describes the lock whichever record says it.
            "client_version" => record.client_version = text(name, value)?,
            "uptime_s" => record.uptime_s = number32(name, &value)?,
            "device_id" => {
                self.named(name, value)?;
            }
            _ => return self.set_body(name, value, samples),
        }
        Ok(true)
    }

    fn set_body(&mut self, name: &str, value: Value<'a>, samples: &Samples) -> Result<bool, Refusal> {
        match &mut self.record.body {
            Body::State(state) => set_state(state, name, value),
            Body::Op(op) => {
                match name {
                    "op" => self.op = word(name, value, OpKind::parse)?,
                    "result" => self.result = word(name, value, OpResult::parse)?,
                    _ => return set_op(op, name, value, samples),
                }
                Ok(true)
            }
            Body::Error(error) => {
                match name {
                    "code" => self.code = code(name, value)?,
                    "count" => error.count = number32(name, &value)?.unwrap_or(1),
                    "detail" => error.detail = text(name, value)?,
                    _ => return Ok(false),
                }
                Ok(true)
            }
            Body::Event(event) => {
                match name {
                    "event" => self.event = word(name, value, EventKind::parse)?,
                    "fw_from" => event.fw_from = text(name, value)?,
                    "fw_to" => event.fw_to = text(name, value)?,
                    _ => return Ok(false),
                }
                Ok(true)
            }
            Body::Gateway(_) if name == "gateway_id" => {
                let id = self.named(name, value)?;
                if let Body::Gateway(report) = &mut self.record.body {
                    report.gateway_id = id;
                }
                Ok(true)
            }
            Body::Gateway(report) => set_gateway(report, name, value),
            // Refused already: no message holds one.
            Body::Adv(_) => Ok(false),
        }
    }

    /// An id in the payload: the topic's, or the record is refused.
    fn named(&self, name: &str, value: Value<'a>) -> Result<Option<Text<'a>>, Refusal> {
        let id = text(name, value)?;
        match id {
            Some(id) if id != self.topic.device.as_str() => {
                let detail =
                    format!("{name} is \"{}\"; only the topic's id, {}, is allowed", excerpt(&id), self.topic.device);
                Err(Refusal::new(Reason::IdentityMismatch, detail))
            }
            same => Ok(same),
        }
    }
}

fn required<T>(name: &str, value: Option<T>) -> Result<T, Refusal> {
    value.ok_or_else(|| Refusal::new(Reason::MissingField, format!("{name} is absent or null; it is required")))
}

fn set_state(state: &mut State, name: &str, value: Value<'_>) -> Result<bool, Refusal> {
    match name {
        "battery_mv" => state.battery_mv = number16(name, &value)?.map(Millivolts),
        "battery_pct" => state.battery_pct = percent(name, &value)?,
        "temp_c" => state.temp_c = hundredths(name, &value)?.map(CentiCelsius),
        "rssi_dbm" => state.rssi_dbm = integer(name, &value, "an integer from -128 to 127")?.map(DbMilliwatts),
        "lock_state" => state.lock_state = word(name, value, LockState::parse)?,
        "reset_reason" => state.reset_reason = word(name, value, ResetReason::parse)?,
        "free_heap_b" => state.free_heap_b = number32(name, &value)?.map(Bytes),
        _ => return Ok(false),
    }
    Ok(true)
}

fn percent(name: &str, value: &Value<'_>) -> Result<Option<Percent>, Refusal> {
    const ALLOWED: &str = "an integer from 0 to 100";
    match integer::<u8>(name, value, ALLOWED)? {
        Some(percent) if percent > 100 => Err(crate::value::refuse(Reason::OutOfRange, name, value, ALLOWED)),
        percent => Ok(percent.map(Percent)),
    }
}

fn set_op(op: &mut Op, name: &str, value: Value<'_>, samples: &Samples) -> Result<bool, Refusal> {
    match name {
        "source" => op.source = word(name, value, OpSource::parse)?,
        "latency_ms" => op.latency_ms = number32(name, &value)?.map(Millis),
        "duration_ms" => op.duration_ms = number16(name, &value)?,
        "peak_ma" => op.peak_ma = number16(name, &value)?.map(Milliamps),
        "mean_ma" => op.mean_ma = number16(name, &value)?.map(Milliamps),
        "current_ma" => op.current_ma = profile(name, &value, samples)?,
        "sample_ms" => op.sample_ms = number16(name, &value)?,
        "battery_min_mv" => op.battery_min_mv = number16(name, &value)?.map(Millivolts),
        "angle_err_deg" => op.angle_err_deg = hundredths(name, &value)?.map(CentiDegrees),
        _ => return Ok(false),
    }
    Ok(true)
}

fn set_gateway<'a>(report: &mut GatewayReport<'a>, name: &str, value: Value<'a>) -> Result<bool, Refusal> {
    match name {
        "version" => report.version = text(name, value)?,
        "queue_depth" => report.queue_depth = number32(name, &value)?,
        "publish_errors" => report.publish_errors = number32(name, &value)?,
        "api_errors" => report.api_errors = number32(name, &value)?,
        "api_latency_ms" => report.api_latency_ms = number32(name, &value)?,
        "locks_heard" => report.locks_heard = number32(name, &value)?,
        _ => return Ok(false),
    }
    Ok(true)
}
