//! Any bytes as service data, with and without a key: read or refused, never a panic; what was read is heard by a listener, which gives nothing back in time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zenei_wire::GatewayTime;
use zenei_wire::bthome::{self, Address, Advertisement, BindKey, Half, Listener};

fuzz_target!(|parts: Vec<(u32, Vec<u8>)>| {
    let (address, key) = (Address([0x54, 0x48, 0xE6, 0x8F, 0x80, 0xA5]), BindKey::new([7; 16]));
    let (mut listener, mut now) = (Listener::default(), GatewayTime(0));
    for (later_ms, bytes) in parts {
        now = now.plus_ms(later_ms.into());
        if let Ok(heard) = Advertisement::read("ble-5448E68F80A5", &bytes) {
            assert_eq!(heard.payload(), bytes);
        }
        let _ = bthome::open(&bytes, address, Some(&key));
        // Encrypted here, so that what is behind the MIC is reached too; the first bytes are its counter.
        let (counter, objects) = bytes.split_at(bytes.len().min(4));
        let counter = counter.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        let sealed = bthome::sealed(objects, address, &key, counter);
        if let Ok(opened) = bthome::open(&sealed, address, Some(&key)) {
            let adv = zenei_wire::Adv { counter: opened.counter, ..opened.reading.adv };
            let half = Half { adv, firmware: opened.reading.firmware, at: now };
            listener.hear(half, |merged| assert!(merged.at <= now));
        }
    }
});
