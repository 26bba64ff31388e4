//! Any bytes as service data, with and without a key: read or refused, never a panic; a message of the spool gives back
//! the received bytes; a merged advertisement is never dated later than the listener's present time. Called by
//! libFuzzer and by `smoke`.
//!
//! The input is a sequence of advertisements: milliseconds since the one before (2 bytes, big endian), length (1 byte),
//! bytes.
use crate::input::Input;
use zenei_wire::bthome::{self, Address, Advertisement, BindKey, Half, Listener, SpooledError};
use zenei_wire::{Adv, GatewayTime};

/// The reader of the spool's messages that is checked.
type Read = for<'a> fn(&str, &'a [u8]) -> Result<Advertisement<'a>, SpooledError>;

const ADDRESS: Address = Address([0x54, 0x48, 0xE6, 0x8F, 0x80, 0xA5]);

/// Checks one sequence of advertisements.
///
/// # Panics
/// Where a promise is broken.
pub fn check(input: &[u8]) {
    check_with(input, |topic, payload| Advertisement::read(topic, payload));
}

fn check_with(input: &[u8], read: Read) {
    let (mut listener, mut now) = (Listener::default(), GatewayTime(0));
    let mut input = Input(input);
    while !input.is_empty() {
        now = now.plus_ms(input.number().into());
        if listener.deadline().is_some_and(|deadline| deadline <= now) {
            listener.give_up(|merged| assert!(merged.at <= now));
        }
        let len = input.byte();
        let bytes = input.piece(len.into());
        if let Ok(heard) = read("ble-5448E68F80A5", bytes) {
            assert_eq!(heard.payload(), bytes, "a message of the spool says what was heard");
        }
        let key = BindKey::new([7; 16]);
        let _ = bthome::open(bytes, ADDRESS, Some(&key));
        // Encrypted here, so that the input reaches the code behind the MIC too; the first bytes are its counter.
        let (counter, objects) = bytes.split_at(bytes.len().min(4));
        let counter = counter.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        let sealed = bthome::sealed(objects, ADDRESS, &key, counter);
        if let Ok(opened) = bthome::open(&sealed, ADDRESS, Some(&key)) {
            assert_eq!(opened.counter, Some(counter), "the counter is the sender's");
            let adv = Adv { counter: opened.counter, ..opened.reading.adv };
            listener.hear(Half { adv, firmware: opened.reading.firmware, at: now }, |merged| assert!(merged.at <= now));
        }
    }
    let end = listener.deadline().unwrap_or(now);
    listener.give_up(|merged| assert!(merged.at <= end));
    assert!(!listener.is_waiting(), "after its deadline nothing waits");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smoke::{find, smoke};

    #[test]
    fn the_promises_hold_over_corpus_and_mutations() {
        smoke("advertisement", check);
    }

    /// Reads an unknown signal strength as the weakest.
    fn deaf<'a>(topic: &str, payload: &'a [u8]) -> Result<Advertisement<'a>, SpooledError> {
        let weakest = zenei_wire::DbMilliwatts(i8::MIN);
        let heard = Advertisement::read(topic, payload)?;
        Ok(Advertisement { rssi_dbm: heard.rssi_dbm.or(Some(weakest)), ..heard })
    }

    #[test]
    fn a_reader_that_makes_a_strength_up_is_caught() {
        assert!(find("advertisement", |input| check_with(input, deaf)).is_some());
    }
}
