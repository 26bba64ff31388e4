//! Any bytes as a message in CBOR: read or refused, never a panic; a record that was read can be written and read
//! again; each element keeps its own bytes. Called by libFuzzer and by `smoke`.
use crate::message::{self, Decode};

/// Checks one message.
///
/// # Panics
/// Where a promise is broken.
pub fn check(input: &[u8]) {
    check_with(input, message::product);
}

fn check_with(input: &[u8], decode: Decode) {
    message::check(input, decode);
    // Most bytes are no map at the first one; these reach further: a map of indefinite length that has a time, and an
    // array.
    for (before, after) in [(&b"\xbf\x62ts\x01"[..], &b"\xff"[..]), (b"\x9f\xa1\x62ts\x01", b"\xff")] {
        message::check(&[before, input, after].concat(), decode);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smoke::{find, smoke};
    use zenei_wire::{DeviceTime, Records, Refusal, Topic};

    #[test]
    fn the_promises_hold_over_corpus_and_mutations() {
        smoke("cbor", check);
    }

    /// Reads a time that is a millisecond late.
    fn late<'a>(topic: &Topic<'a>, payload: &'a [u8]) -> Result<Records<'a>, Refusal> {
        let mut records = message::product(topic, payload)?;
        for record in records.iter_mut().filter_map(|decoded| decoded.record.as_mut().ok()) {
            record.ts = DeviceTime(record.ts.ms().wrapping_add(1));
        }
        Ok(records)
    }

    #[test]
    fn a_decoder_that_reads_another_time_than_was_written_is_caught() {
        assert!(find("cbor", |input| check_with(input, late)).is_some());
    }
}
