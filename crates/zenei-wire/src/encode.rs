//! Writes the fields of a record in one order and under one set of names for JSON and CBOR. Fields that are `None` are
//! left out. Must not know either syntax. Called by both codecs.
use crate::fields::{self, Form};
use crate::record::{Body, Record, Text};

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

/// Passes every field of a record to the sink.
pub(crate) fn write(record: &Record<'_>, sink: &mut impl Sink) {
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
    body(&record.body, sink);
    text(sink, "client_version", record.client_version.as_ref());
}

fn integer(sink: &mut impl Sink, name: &str, value: Option<impl Into<i64>>) {
    if let Some(value) = value {
        sink.integer(name, value.into());
    }
}

fn text(sink: &mut impl Sink, name: &str, value: Option<&Text<'_>>) {
    if let Some(value) = value {
        sink.text(name, value);
    }
}

fn body(body: &Body<'_>, sink: &mut impl Sink) {
    for field in fields::of(body.kind()) {
        let name = field.name;
        match &field.form {
            Form::U8(slot) => integer(sink, name, (slot.get)(body)),
            Form::U16(slot) => integer(sink, name, (slot.get)(body)),
            Form::U32(slot) => integer(sink, name, (slot.get)(body)),
            Form::I8(slot) => integer(sink, name, (slot.get)(body)),
            Form::Hundredths(slot) => {
                if let Some(value) = (slot.get)(body) {
                    sink.hundredths(name, value);
                }
            }
            Form::Flag(slot) => {
                if let Some(value) = (slot.get)(body) {
                    sink.flag(name, value);
                }
            }
            Form::Word(words) => {
                if let Some(word) = (words.slot.get)(body).and_then(|place| words.all.get(usize::from(place))) {
                    sink.text(name, word);
                }
            }
            Form::Text(text) => {
                if let Some(text) = (text.get)(body) {
                    sink.text(name, text);
                }
            }
            Form::Samples(slot) => {
                if let Some(profile) = (slot.get)(body) {
                    sink.samples(name, profile.samples());
                }
            }
        }
    }
}
