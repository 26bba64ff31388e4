//! Builds a record from the fields that a codec reads, by the contract's list (`fields`), and reports at the end which
//! required field is missing. One builder for JSON and CBOR; it must not know either syntax. Called by both codecs.
//!
//! A field that comes twice is checked each time, and the last value counts: most JSON parsers do so, and so both
//! codecs agree. The first refusal counts; the codec reads on, because the whole message must be well-formed. Texts of
//! unknown fields are not checked for length or control characters: an unknown field is never an error.
use crate::fields::{self, Field, Form, Text as TextField, TextRule};
use crate::record::{Body, Record, Text};
use crate::refusal::{Reason, Refusal};
use crate::time::DeviceTime;
use crate::topic::Topic;
use crate::value::{Samples, Value, code, excerpt, hundredths, number32, profile, ranged, text, time, word};
use alloc::format;

/// A record that is being read.
pub(crate) struct Draft<'a> {
    topic: Topic<'a>,
    /// Placeholders stand for the required fields until [`Draft::finish`].
    record: Record<'a>,
    ts: Option<DeviceTime>,
    /// The fields of the record's own part.
    fields: &'static [&'static Field],
    /// Which of them have a value: a bit each, by their place.
    given: u32,
    /// The probable place of the next field: most writers follow the list's order.
    next: usize,
    refusal: Option<Refusal>,
}

impl<'a> Draft<'a> {
    /// An empty record of the topic's kind.
    #[inline]
    pub(crate) fn new(topic: &Topic<'a>) -> Self {
        let is_message = topic.kind.has_topic();
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
            body: Body::empty(topic.kind),
            unknown_fields: 0,
        };
        let refusal = (!is_message).then(|| {
            let detail = "an advertisement is no message; state, op, error, event and gateway are";
            Refusal::new(Reason::UnknownKind, detail)
        });
        Self { topic: *topic, record, ts: None, fields: fields::of(topic.kind), given: 0, next: 0, refusal }
    }

    /// Takes a field. `samples` are the elements of the value where it is an array.
    pub(crate) fn field(&mut self, name: &str, value: Value<'a>, samples: &Samples) {
        if self.refusal.is_some() {
            return;
        }
        if let Err(refusal) = self.set(name, value, samples) {
            self.refusal = Some(refusal);
        }
    }

    fn set(&mut self, name: &str, value: Value<'a>, samples: &Samples) -> Result<(), Refusal> {
        if self.fields.get(self.next).is_some_and(|field| field.name == name) {
            return self.set_own(self.next, value, samples);
        }
        let Some(value) = self.set_common(name, value)? else { return Ok(()) };
        match self.fields.iter().position(|field| field.name == name) {
            Some(at) => self.set_own(at, value, samples),
            None => {
                self.record.unknown_fields = self.record.unknown_fields.saturating_add(1);
                Ok(())
            }
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
        record.ts = self.ts.ok_or_else(|| missing("ts"))?;
        let required = fields::required(self.topic.kind);
        if self.given & required != required {
            let lacks = |at: &usize| required & !self.given & (1 << at) != 0;
            let first = (0..self.fields.len()).find(lacks).map_or("", |at| self.fields[at].name);
            return Err(missing(first));
        }
        Ok(record)
    }

    /// Sets a field that records of every kind have; returns the value if the name is not such a field.
    fn set_common(&mut self, name: &str, value: Value<'a>) -> Result<Option<Value<'a>>, Refusal> {
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
            // The contract lists it under `state` and `op`; it describes the lock in a record of any kind.
            "client_version" => record.client_version = text(name, value)?,
            "uptime_s" => record.uptime_s = number32(name, &value)?,
            "device_id" => {
                self.named(name, value)?;
            }
            _ => return Ok(Some(value)),
        }
        Ok(None)
    }

    /// Sets a field of the record's own part.
    fn set_own(&mut self, at: usize, value: Value<'a>, samples: &Samples) -> Result<(), Refusal> {
        let field = self.fields[at];
        let (name, is_given, body) = (field.name, !matches!(value, Value::Null), &mut self.record.body);
        match &field.form {
            Form::U8(slot) => (slot.set)(body, ranged(name, &value, field.range)?),
            Form::U16(slot) => (slot.set)(body, ranged(name, &value, field.range)?),
            Form::U32(slot) => (slot.set)(body, ranged(name, &value, field.range)?),
            Form::I8(slot) => (slot.set)(body, ranged(name, &value, field.range)?),
            Form::Hundredths(slot) => (slot.set)(body, hundredths(name, &value)?),
            Form::Word(words) => (words.slot.set)(body, word(name, value, words.all)?),
            Form::Text(own) => {
                let text = self.own_text(name, value, own)?;
                (own.set)(&mut self.record.body, text);
            }
            Form::Samples(slot) => (slot.set)(body, profile(name, &value, samples)?),
            // Advertisements alone have one, and no message holds an advertisement.
            Form::Flag(_) => {}
        }
        self.given = if is_given { self.given | 1 << at } else { self.given & !(1 << at) };
        self.next = at + 1;
        Ok(())
    }

    fn own_text(&self, name: &str, value: Value<'a>, field: &TextField) -> Result<Option<Text<'a>>, Refusal> {
        match field.rule {
            TextRule::Free => text(name, value),
            TextRule::Code => code(name, value),
            TextRule::TopicId => self.named(name, value),
        }
    }

    /// An id in the payload: it must equal the topic's, or the record is refused.
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

#[cold]
fn missing(name: &str) -> Refusal {
    Refusal::new(Reason::MissingField, format!("{name} is absent or null; it is required"))
}
