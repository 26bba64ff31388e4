//! Any bytes as a message in JSON: read or refused, never a panic; a record that was read can be written and read
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
    // Most bytes are no JSON at the first one; these reach further.
    for (before, after) in [("{\"ts\":1,", "}"), ("[{\"ts\":1},", "]")] {
        message::check(&[before.as_bytes(), input, after.as_bytes()].concat(), decode);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smoke::{find, smoke};
    use zenei_wire::{Records, Refusal, Topic};

    #[test]
    fn the_promises_hold_over_corpus_and_mutations() {
        smoke("json", check);
    }

    /// Loses which bytes belong to which element.
    fn blurred<'a>(topic: &Topic<'a>, payload: &'a [u8]) -> Result<Records<'a>, Refusal> {
        let mut records = message::product(topic, payload)?;
        records.iter_mut().for_each(|decoded| decoded.raw = payload);
        Ok(records)
    }

    #[test]
    fn a_decoder_that_mixes_up_the_bytes_of_elements_is_caught() {
        assert!(find("json", |input| check_with(input, blurred)).is_some());
    }
}
