//! Which fields of a record are written, in which order and under which names: once, for JSON and CBOR both. What is `None` is left out.
//! Knows neither syntax. Called by both codecs.
use crate::record::{Adv, Body, ErrorReport, Event, GatewayReport, Op, Record, State, Text};

/// Takes fields: JSON's writer, CBOR's, and the one that only counts.
pub(crate) trait Sink {
    /// A whole number.
    fn integer(&mut self, name: &str, value: i64);
    /// A number in hundredths.
    fn hundredths(&mut self, name: &str, value: i16);
    /// Yes or no.
    fn flag(&mut self, name: &str, value: bool);
    /// A text.
    fn text(&mut self, name: &str, value: &str);
    /// A motor current profile.
    fn samples(&mut self, name: &str, samples: &[u16]);
}

/// Gives every field of a record to the sink.
pub(crate) fn fields(record: &Record<'_>, sink: &mut impl Sink) {
    sink.integer("ts", record.ts.ms());
    integer(sink, "boot", record.boot);
    integer(sink, "seq", record.seq);
    text(sink, "model", record.model.as_ref());
    text(sink, "hw_rev", record.hw_rev.as_ref());
    text(sink, "lot", record.lot.as_ref());
    text(sink, "fw", record.fw.as_ref());
    text(sink, "service", record.service.as_ref());
    text(sink, "gw", record.gw.as_ref());
    integer(sink, "uptime_s", record.uptime_s);
    match &record.body {
        Body::State(state) => state_fields(state, sink),
        Body::Op(op) => op_fields(op, sink),
        Body::Error(error) => error_fields(error, sink),
        Body::Event(event) => event_fields(event, sink),
        Body::Gateway(report) => gateway_fields(report, sink),
        Body::Adv(adv) => adv_fields(adv, sink),
    }
    text(sink, "client_version", record.client_version.as_ref());
}

fn integer(sink: &mut impl Sink, name: &str, value: Option<impl Into<i64>>) {
    if let Some(value) = value {
        sink.integer(name, value.into());
    }
}

fn hundredths(sink: &mut impl Sink, name: &str, value: Option<i16>) {
    if let Some(value) = value {
        sink.hundredths(name, value);
    }
}

fn text(sink: &mut impl Sink, name: &str, value: Option<&Text<'_>>) {
    if let Some(value) = value {
        sink.text(name, value);
    }
}

fn word(sink: &mut impl Sink, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        sink.text(name, value);
    }
}

fn state_fields(state: &State, sink: &mut impl Sink) {
    integer(sink, "battery_mv", state.battery_mv.map(|voltage| voltage.0));
    integer(sink, "battery_pct", state.battery_pct.map(|share| share.0));
    hundredths(sink, "temp_c", state.temp_c.map(|temperature| temperature.0));
    integer(sink, "rssi_dbm", state.rssi_dbm.map(|strength| strength.0));
    word(sink, "lock_state", state.lock_state.map(|word| word.as_str()));
    word(sink, "reset_reason", state.reset_reason.map(|word| word.as_str()));
    integer(sink, "free_heap_b", state.free_heap_b.map(|memory| memory.0));
}

fn op_fields(op: &Op, sink: &mut impl Sink) {
    sink.text("op", op.op.as_str());
    word(sink, "source", op.source.map(|word| word.as_str()));
    sink.text("result", op.result.as_str());
    integer(sink, "latency_ms", op.latency_ms.map(|time| time.0));
    integer(sink, "duration_ms", op.duration_ms);
    integer(sink, "peak_ma", op.peak_ma.map(|current| current.0));
    integer(sink, "mean_ma", op.mean_ma.map(|current| current.0));
    if let Some(profile) = &op.current_ma {
        sink.samples("current_ma", profile.samples());
    }
    integer(sink, "sample_ms", op.sample_ms);
    integer(sink, "battery_min_mv", op.battery_min_mv.map(|voltage| voltage.0));
    hundredths(sink, "angle_err_deg", op.angle_err_deg.map(|angle| angle.0));
}

fn error_fields(error: &ErrorReport<'_>, sink: &mut impl Sink) {
    sink.text("code", &error.code);
    sink.integer("count", error.count.into());
    text(sink, "detail", error.detail.as_ref());
}

fn event_fields(event: &Event<'_>, sink: &mut impl Sink) {
    sink.text("event", event.event.as_str());
    text(sink, "fw_from", event.fw_from.as_ref());
    text(sink, "fw_to", event.fw_to.as_ref());
}

fn gateway_fields(report: &GatewayReport<'_>, sink: &mut impl Sink) {
    text(sink, "gateway_id", report.gateway_id.as_ref());
    text(sink, "version", report.version.as_ref());
    integer(sink, "queue_depth", report.queue_depth);
    integer(sink, "publish_errors", report.publish_errors);
    integer(sink, "api_errors", report.api_errors);
    integer(sink, "api_latency_ms", report.api_latency_ms);
    integer(sink, "locks_heard", report.locks_heard);
}

fn adv_fields(adv: &Adv, sink: &mut impl Sink) {
    integer(sink, "battery_mv", adv.battery_mv.map(|voltage| voltage.0));
    integer(sink, "battery_pct", adv.battery_pct.map(|share| share.0));
    hundredths(sink, "temp_c", adv.temp_c.map(|temperature| temperature.0));
    integer(sink, "rssi_dbm", adv.rssi_dbm.map(|strength| strength.0));
    word(sink, "lock_state", adv.lock_state.map(|word| word.as_str()));
    integer(sink, "peak_ma", adv.peak_ma.map(|current| current.0));
    if let Some(problem) = adv.problem {
        sink.flag("problem", problem);
    }
    integer(sink, "seq_low", adv.seq_low);
    integer(sink, "packet_id", adv.packet_id);
    integer(sink, "counter", adv.counter);
}
