//! Tests that none of a million forged advertisements is accepted. Here and not beside the cipher because the
//! end-to-end tests are built for speed.
use zenei_wire::bthome::{self, Address, BindKey, OpenError};

const FORGED: u32 = 1_000_000;
const LOCK: Address = Address([0xC0, 0xFF, 0xEE, 0, 0, 1]);
const OBJECTS: [u8; 14] = [0x00, 9, 0x01, 71, 0x0C, 0x3A, 0x0B, 0x1F, 1, 0x26, 0, 0x43, 0x64, 0x02];

/// How many of these are accepted under the lock's key.
fn accepted(key: &BindKey, mut forge: impl FnMut(u32) -> Vec<u8>) -> u32 {
    let opened = (0..FORGED).map(|number| bthome::open(&forge(number), LOCK, Some(key)));
    opened.fold(0, |accepted, opened| match opened {
        Ok(_) => accepted + 1,
        Err(error) => {
            assert_eq!(error, OpenError::Forged);
            accepted
        }
    })
}

#[test]
fn a_million_forged_mics_open_nothing() {
    let (key, other) = (BindKey::new([0x5A; 16]), BindKey::new([0xA5; 16]));
    // First an advertisement that the lock has sent, with other MICs; then invented ones with the next counters, under
    // a key that is not the lock's.
    let genuine = bthome::sealed(&OBJECTS, LOCK, &key, 7);
    let mic_at = genuine.len() - 4;
    let guessed = accepted(&key, |number| {
        let mut forged = genuine.clone();
        // Spread over all MICs; none comes twice, and none is the genuine one.
        let offset = (number + 1) * 4_294;
        let mic = u32::from_le_bytes([forged[mic_at], forged[mic_at + 1], forged[mic_at + 2], forged[mic_at + 3]]);
        forged[mic_at..].copy_from_slice(&mic.wrapping_add(offset).to_le_bytes());
        forged
    });
    assert_eq!(guessed, 0);
    assert_eq!(accepted(&key, |number| bthome::sealed(&OBJECTS, LOCK, &other, number)), 0);
    // The control: the check does not refuse everything.
    assert!(bthome::open(&genuine, LOCK, Some(&key)).is_ok_and(|opened| opened.counter == Some(7)));
}
