//! Reads and writes records in CBOR, with the same names, types and refusals as in JSON. The reader is strict and
//! allocates nothing for texts of definite length. Must not know the transport. Called through
//! [`decode`](crate::decode()), and by programs that write records.
mod cursor;

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
use cursor::{ARRAY, Cursor, Head, MAP};

/// Adds a record to `out` as one CBOR map of definite length, `ts` as an integer. The topic is the one to which the
/// record will be sent, of the record's kind; fields that the topic has are left out. `unknown_fields` is a count, and
/// not written.
pub fn encode(topic: &Topic<'_>, record: &Record<'_>, out: &mut Vec<u8>) {
    debug_assert_eq!(topic.kind, record.body.kind(), "the topic is of another kind than the record");
    let mut count = Count(0);
    write(record, &mut count);
    head(MAP, count.0, out);
    write(record, &mut CborSink { out });
}

/// Adds records to `out` as one CBOR array, see [`encode`]. More than 1,000, or 64 KiB, are refused by every reader.
pub fn encode_array(topic: &Topic<'_>, records: &[Record<'_>], out: &mut Vec<u8>) {
    head(ARRAY, records.len() as u64, out);
    for record in records {
        encode(topic, record, out);
    }
}

/// Reads a message in CBOR.
pub(crate) fn decode<'a>(topic: &Topic<'a>, payload: &'a [u8], records: &mut Records<'a>) -> Result<(), Refusal> {
    message(topic, payload, records).map_err(|fault| fault.refusal(Reason::BadCbor, payload))
}

fn message<'a>(topic: &Topic<'a>, payload: &'a [u8], records: &mut Records<'a>) -> Result<(), Fault> {
    let mut cursor = Cursor::new(payload, MAX_DEPTH);
    let mut samples = Samples::new();
    let head = cursor.head()?;
    match head.major {
        MAP if !head.tagged => records.push(record(&mut cursor, topic, 0, head, 1, &mut samples)?),
        ARRAY if !head.tagged => {
            let mut items = cursor.open(head, 1)?;
            while cursor.more(&mut items) {
                if records.len() == MAX_RECORDS {
                    return Err(Fault::TooManyRecords);
                }
                records.push(element(&mut cursor, topic, &mut samples)?);
            }
            // A message without a record would leave no trace in the ledger.
            if records.is_empty() {
                return Err(Fault::Syntax { at: 0, allowed: "an array of at least one record" });
            }
        }
        _ => return Err(Fault::Syntax { at: 0, allowed: "a map or an array of maps" }),
    }
    cursor.end()
}

fn element<'a>(cursor: &mut Cursor<'a>, topic: &Topic<'a>, samples: &mut Samples) -> Result<DecodedRecord<'a>, Fault> {
    let start = cursor.at();
    let head = cursor.head()?;
    if head.major == MAP && !head.tagged {
        return record(cursor, topic, start, head, 2, samples);
    }
    cursor.rest(head, 1)?;
    let refusal = Refusal::new(Reason::WrongType, "an element of the array is no map; only maps are allowed");
    Ok(DecodedRecord { record: Err(refusal), raw: cursor.since(start) })
}

fn record<'a>(
    cursor: &mut Cursor<'a>,
    topic: &Topic<'a>,
    start: usize,
    head: Head,
    depth: usize,
    samples: &mut Samples,
) -> Result<DecodedRecord<'a>, Fault> {
    let mut draft = Draft::new(topic);
    let mut items = cursor.open(head, depth)?;
    while cursor.more(&mut items) {
        let name = cursor.name()?;
        let value = cursor.value(depth, samples)?;
        draft.field(&name, value, samples);
    }
    Ok(DecodedRecord { record: draft.finish(), raw: cursor.since(start) })
}

/// Adds the head of an item, in its shortest form.
fn head(major: u8, argument: u64, out: &mut Vec<u8>) {
    let first = major << 5;
    let bytes = argument.to_be_bytes();
    match argument {
        0..24 => out.push(first | bytes[7]),
        24..0x100 => out.extend([first | 24, bytes[7]]),
        0x100..0x1_0000 => {
            out.push(first | 25);
            out.extend_from_slice(&bytes[6..]);
        }
        0x1_0000..0x1_0000_0000 => {
            out.push(first | 26);
            out.extend_from_slice(&bytes[4..]);
        }
        0x1_0000_0000.. => {
            out.push(first | 27);
            out.extend_from_slice(&bytes);
        }
    }
}

/// Counts fields, for the head of the map.
struct Count(u64);

impl Sink for Count {
    fn integer(&mut self, _: &str, _: i64) {
        self.0 += 1;
    }

    fn hundredths(&mut self, _: &str, _: i16) {
        self.0 += 1;
    }

    fn flag(&mut self, _: &str, _: bool) {
        self.0 += 1;
    }

    fn text(&mut self, _: &str, _: &str) {
        self.0 += 1;
    }

    fn samples(&mut self, _: &str, _: &[u16]) {
        self.0 += 1;
    }
}

struct CborSink<'o> {
    out: &'o mut Vec<u8>,
}

impl CborSink<'_> {
    fn put_text(&mut self, text: &str) {
        head(cursor::TEXT, text.len() as u64, self.out);
        self.out.extend_from_slice(text.as_bytes());
    }
}

impl Sink for CborSink<'_> {
    fn integer(&mut self, name: &str, value: i64) {
        self.put_text(name);
        let (major, argument) = if value < 0 { (1, (-1 - value).cast_unsigned()) } else { (0, value.cast_unsigned()) };
        head(major, argument, self.out);
    }

    /// An integer where it is one; else a float of 32 bits, whose error (2e-5 at the ends of the range) is far below
    /// half a hundredth.
    fn hundredths(&mut self, name: &str, value: i16) {
        if value % 100 == 0 {
            return self.integer(name, i64::from(value / 100));
        }
        self.put_text(name);
        self.out.push(0xFA);
        self.out.extend_from_slice(&(f32::from(value) / 100.0).to_be_bytes());
    }

    fn flag(&mut self, name: &str, value: bool) {
        self.put_text(name);
        // Simple values 20 and 21 (RFC 8949, 3.3).
        self.out.push(if value { 0xF5 } else { 0xF4 });
    }

    fn text(&mut self, name: &str, value: &str) {
        self.put_text(name);
        self.put_text(value);
    }

    fn samples(&mut self, name: &str, samples: &[u16]) {
        self.put_text(name);
        head(ARRAY, samples.len() as u64, self.out);
        for sample in samples {
            head(0, u64::from(*sample), self.out);
        }
    }
}
