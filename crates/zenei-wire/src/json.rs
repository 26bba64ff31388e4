//! Reads and writes records in JSON. The hand-written reader goes straight from bytes to the record: it borrows texts
//! and allocates nothing for a field without escapes. Must not know the transport. Called through
//! [`decode`](crate::decode()), and by programs that write records.
pub(crate) mod cursor;

use crate::decoded::{DecodedRecord, Records};
use crate::draft::Draft;
use crate::encode::{Sink, write};
use crate::fault::Fault;
use crate::limits::{MAX_DEPTH, MAX_RECORDS};
use crate::record::Record;
use crate::refusal::{Reason, Refusal};
use crate::topic::Topic;
use crate::value::Samples;
use alloc::vec::Vec;
use cursor::Cursor;

/// Adds a record to `out` as one JSON object, `ts` as an integer. The topic is the one to which the record will be
/// sent, of the record's kind; fields that the topic has are left out. `unknown_fields` is a count, and not written.
pub fn encode(topic: &Topic<'_>, record: &Record<'_>, out: &mut Vec<u8>) {
    debug_assert_eq!(topic.kind, record.body.kind(), "the topic is of another kind than the record");
    let mut sink = JsonSink { out, first: true };
    sink.out.push(b'{');
    write(record, &mut sink);
    sink.out.push(b'}');
}

/// Adds records to `out` as one JSON array, see [`encode`]. More than 1,000, or 64 KiB, are refused by every reader.
pub fn encode_array(topic: &Topic<'_>, records: &[Record<'_>], out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, record) in records.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        encode(topic, record, out);
    }
    out.push(b']');
}

/// Reads a message in JSON.
pub(crate) fn decode<'a>(topic: &Topic<'a>, payload: &'a [u8], records: &mut Records<'a>) -> Result<(), Refusal> {
    let read = match core::str::from_utf8(payload) {
        Ok(text) => message(topic, text, records),
        Err(error) => Err(Fault::Utf8 { at: error.valid_up_to() }),
    };
    read.map_err(|fault| fault.refusal(Reason::BadJson, payload))
}

fn message<'a>(topic: &Topic<'a>, text: &'a str, records: &mut Records<'a>) -> Result<(), Fault> {
    let mut cursor = Cursor::new(text, MAX_DEPTH);
    let mut samples = Samples::new();
    cursor.space();
    match cursor.peek() {
        b'{' => records.push(record(&mut cursor, topic, 1, &mut samples)?),
        b'[' => {
            let mut more = cursor.open(b']', 1)?;
            // A message without a record would leave no trace in the ledger.
            if !more {
                return Err(cursor.fault("an array of at least one record"));
            }
            while more {
                if records.len() == MAX_RECORDS {
                    return Err(Fault::TooManyRecords);
                }
                records.push(element(&mut cursor, topic, &mut samples)?);
                more = cursor.more(b']')?;
            }
        }
        _ => return Err(cursor.fault("an object or an array of objects")),
    }
    cursor.end()
}

fn element<'a>(cursor: &mut Cursor<'a>, topic: &Topic<'a>, samples: &mut Samples) -> Result<DecodedRecord<'a>, Fault> {
    if cursor.peek() == b'{' {
        return record(cursor, topic, 2, samples);
    }
    let start = cursor.at();
    cursor.skip(1)?;
    let refusal = Refusal::new(Reason::WrongType, "an element of the array is no object; only objects are allowed");
    Ok(DecodedRecord { record: Err(refusal), raw: cursor.since(start) })
}

fn record<'a>(
    cursor: &mut Cursor<'a>,
    topic: &Topic<'a>,
    depth: usize,
    samples: &mut Samples,
) -> Result<DecodedRecord<'a>, Fault> {
    let start = cursor.at();
    let mut draft = Draft::new(topic);
    let mut more = cursor.open(b'}', depth)?;
    while more {
        let name = cursor.name()?;
        let value = cursor.value(depth, samples)?;
        draft.field(&name, value, samples);
        more = cursor.more(b'}')?;
    }
    Ok(DecodedRecord { record: draft.finish(), raw: cursor.since(start) })
}

struct JsonSink<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl JsonSink<'_> {
    fn name(&mut self, name: &str) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        quote(name, self.out);
        self.out.push(b':');
    }
}

impl Sink for JsonSink<'_> {
    fn integer(&mut self, name: &str, value: i64) {
        self.name(name);
        integer(value, self.out);
    }

    fn hundredths(&mut self, name: &str, value: i16) {
        self.name(name);
        let (units, rest) = (value.unsigned_abs() / 100, value.unsigned_abs() % 100);
        if value < 0 {
            self.out.push(b'-');
        }
        integer(i64::from(units), self.out);
        if rest > 0 {
            self.out.push(b'.');
            self.out.extend(digit(rest / 10));
            self.out.extend(digit(rest % 10).filter(|digit| *digit != b'0'));
        }
    }

    fn flag(&mut self, name: &str, value: bool) {
        self.name(name);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        quote(value, self.out);
    }

    fn samples(&mut self, name: &str, samples: &[u16]) {
        self.name(name);
        self.out.push(b'[');
        for (index, sample) in samples.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            integer(i64::from(*sample), self.out);
        }
        self.out.push(b']');
    }
}

/// Passes a text in quotes to `put` piece by piece, with the escapes that JSON requires.
pub(crate) fn quoted(text: &str, mut put: impl FnMut(&str)) {
    const HEX: &str = "0123456789abcdef";
    put("\"");
    let mut rest = text;
    loop {
        let (plain, special) = rest.split_at(cursor::plain_run(rest.as_bytes()));
        put(plain);
        let Some(&byte) = special.as_bytes().first() else {
            return put("\"");
        };
        match byte {
            b'"' => put("\\\""),
            b'\\' => put("\\\\"),
            _ => {
                let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
                put("\\u00");
                put(&HEX[high..=high]);
                put(&HEX[low..=low]);
            }
        }
        rest = &special[1..];
    }
}

fn quote(text: &str, out: &mut Vec<u8>) {
    quoted(text, |piece| out.extend_from_slice(piece.as_bytes()));
}

fn digit(number: u16) -> Option<u8> {
    u8::try_from(number).ok().map(|number| b'0' + number)
}

fn integer(number: i64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[start..]);
}
