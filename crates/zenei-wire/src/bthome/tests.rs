//! Tests of advertisements: the published vector, the sizes of the contract's sets, no read past the end, no acceptance
//! without a valid MIC.
use super::*;
use crate::record::{Adv, LockState};
use crate::units::{CentiCelsius, Milliamps, Millivolts, Percent};
use alloc::format;
use alloc::string::ToString as _;
use alloc::vec;

/// The example of the format's description: key, address, data, and what they mean.
const KEY: &str = "231d39c1d7cc1ab1aee224cd096db932";
const SENDER: Address = Address([0x54, 0x48, 0xE6, 0x8F, 0x80, 0xA5]);
const DATA: [u8; 15] = [0x41, 0xA4, 0x72, 0x66, 0xC9, 0x5F, 0x73, 0x00, 0x11, 0x22, 0x33, 0x78, 0x23, 0x72, 0x14];
const OBJECTS: [u8; 6] = [0x02, 0xCA, 0x09, 0x03, 0xBF, 0x13];

fn key() -> BindKey {
    KEY.parse().unwrap()
}

fn full() -> Reading {
    let adv = Adv {
        battery_mv: Some(Millivolts(2_874)),
        battery_pct: Some(Percent(71)),
        temp_c: Some(CentiCelsius(-50)),
        lock_state: Some(LockState::Unlocked),
        peak_ma: Some(Milliamps(612)),
        problem: Some(false),
        seq_low: Some(0xBEEF),
        packet_id: Some(9),
        ..Adv::default()
    };
    Reading { adv, firmware: Some("3.2.1".parse().unwrap()), unknown: 0 }
}

#[test]
fn the_published_vector_reads_and_is_written_so() {
    let opened = open(&DATA, SENDER, Some(&key())).unwrap();
    assert_eq!(opened.counter, Some(0x3322_1100));
    assert_eq!((opened.reading.adv.temp_c, opened.reading.unknown), (Some(CentiCelsius(2_506)), 1));
    assert_eq!(sealed(&OBJECTS, SENDER, &key(), 0x3322_1100), DATA);
    assert_eq!(plain(&OBJECTS), [&[0x40], &OBJECTS[..]].concat());
}

#[test]
fn a_vector_reads_only_with_its_own_key_address_and_bytes() {
    assert_eq!(open(&DATA, SENDER, None), Err(OpenError::NoKey));
    assert_eq!(open(&DATA, Address([0; 6]), Some(&key())), Err(OpenError::Forged));
    assert_eq!(open(&DATA, SENDER, Some(&BindKey::new([0; 16]))), Err(OpenError::Forged));
    for bit in 0..8 * DATA.len() {
        let mut data = DATA;
        data[bit / 8] ^= 1 << (bit % 8);
        let opened = open(&data, SENDER, Some(&key()));
        // Without bit 0 of the first byte it is a plain advertisement, which anyone may send; it differs by having no
        // counter.
        assert!(opened.is_err() || opened.unwrap().counter.is_none(), "bit {bit}");
    }
}

#[test]
fn a_sender_that_puts_its_address_into_the_data_means_that_one() {
    let mut reversed = SENDER.0;
    reversed.reverse();
    let data = [&[0x42], &reversed[..], &OBJECTS].concat();
    assert_eq!(sender(&data), Some(SENDER));
    assert_eq!(open(&data, Address([0; 6]), None).unwrap().reading.adv.temp_c, Some(CentiCelsius(2_506)));
    assert_eq!(open(&[0x42, 1, 2], SENDER, None), Err(OpenError::Length { found: 3, least: 7 }));
    assert_eq!(sender(&DATA), None);
}

#[test]
fn the_sets_have_the_contracts_objects_in_ascending_order() {
    let (a, b) = (full().objects(Set::A), full().objects(Set::B));
    assert_eq!(*a, [0x00, 9, 0x01, 71, 0x0C, 0x3A, 0x0B, 0x1F, 1, 0x26, 0, 0x43, 0x64, 0x02]);
    assert_eq!(*b, [0x00, 9, 0x02, 0xCE, 0xFF, 0x3D, 0xEF, 0xBE, 0xF2, 1, 2, 3]);
    let size = |objects: &[u8]| advertising_data(&sealed(objects, SENDER, &key(), 7)).unwrap().len();
    assert_eq!((size(&a), size(&b)), (30, 28));
    let a_and_b = [&a[..], &b].concat();
    assert_eq!(advertising_data(&sealed(&a_and_b, SENDER, &key(), 7)), None, "there is no room for both");
    assert_eq!(advertising_data(&DATA).unwrap()[..8], [2, 1, 6, 18, 0x16, 0xD2, 0xFC, 0x41]);
}

#[test]
fn a_reading_reads_back_from_its_sets() {
    let read = |set: Set| open(&plain(&full().objects(set)), SENDER, None).unwrap().reading;
    let (a, b) = (read(Set::A), read(Set::B));
    assert_eq!((a.set(), b.set(), a.is_whole(), b.is_whole()), (Set::A, Set::B, false, false));
    let adv = Adv { temp_c: b.adv.temp_c, seq_low: b.adv.seq_low, ..a.adv };
    assert_eq!(Reading { adv, firmware: b.firmware, unknown: 0 }, full());
}

#[test]
fn every_object_of_the_standard_is_gone_past_by_its_length() {
    let temperature = [0x02, 0x2C, 0x01];
    let mut known = 0;
    for id in 0..=u8::MAX {
        let value = match length_of(id) {
            Some(object::Length::Bytes(bytes)) => vec![0x7F; bytes],
            Some(object::Length::Counted) => vec![3, b'a', b'b', b'c'],
            None => continue,
        };
        known += 1;
        let whole = [&[id], &value[..], &temperature].concat();
        let reading = Reading::of(&whole).unwrap();
        let is_temperature = matches!(id, 0x02 | 0x45 | 0x57 | 0x58);
        assert!(is_temperature || reading.adv.temp_c == Some(CentiCelsius(300)), "behind 0x{id:02x}");
        for end in 1..=value.len() {
            let cut = Reading::of(&whole[..end]);
            assert!(
                matches!(cut, Err(OpenError::Cut { id: cut_id, .. }) if cut_id == id),
                "0x{id:02x} to {end}: {cut:?}"
            );
        }
    }
    // 0x00 to 0x2F, 0x3A, 0x3C to 0x64, 0xF0 to 0xF2.
    assert_eq!(known, 48 + 1 + 41 + 3);
}

#[test]
fn nothing_is_read_behind_an_object_that_the_standard_does_not_know() {
    let reading = Reading::of(&[0x01, 50, 0xEE, 1, 2, 0x02, 0, 0]).unwrap();
    assert_eq!((reading.adv.battery_pct, reading.adv.temp_c, reading.unknown), (Some(Percent(50)), None, 1));
}

#[test]
fn a_value_that_means_nothing_counts_as_absent_and_of_two_the_first_counts() {
    let reading = Reading::of(&[0x01, 101, 0x1F, 2, 0x26, 9, 0x4A, 0xFF, 0xFF]).unwrap();
    assert_eq!(reading.adv, Adv::default());
    let twice = Reading::of(&[0x45, 0x11, 0x01, 0x02, 0, 0, 0x57, 1]).unwrap();
    assert_eq!(twice.adv.temp_c, Some(CentiCelsius(2_730)));
    let coarse = Reading::of(&[0x58, 0xEA, 0x4A, 0x1E, 0x00]).unwrap();
    assert_eq!((coarse.adv.temp_c, coarse.adv.battery_mv), (Some(CentiCelsius(-770)), Some(Millivolts(3_000))));
}

#[test]
fn what_is_no_service_data_says_why() {
    let said = |data: &[u8]| open(data, SENDER, Some(&key())).unwrap_err().to_string();
    assert_eq!(said(&[]), "the service data has 0 bytes; 1 to 252 are allowed");
    assert_eq!(said(&[0; 253]), "the service data has 253 bytes; 1 to 252 are allowed");
    assert_eq!(said(&[0x20]), "the service data is of BTHome version 1; version 2 is allowed");
    assert_eq!(said(&DATA[..8]), "the service data has 8 bytes; 9 to 252 are allowed");
    assert_eq!(said(&[0x40, 0x01, 50, 0x0C, 1]), "object 0x0c at byte 2 has 1 bytes; it needs 2");
}

#[test]
fn an_address_is_written_in_one_way_and_read_in_three() {
    for text in ["54:48:E6:8F:80:A5", "54-48-e6-8f-80-a5", "5448e68f80a5"] {
        assert_eq!(text.parse(), Ok(SENDER));
    }
    assert_eq!(format!("{SENDER}"), "54:48:E6:8F:80:A5");
    assert_eq!(SENDER.stranger().unwrap().as_str(), "ble-5448E68F80A5");
    for text in ["", "54:48:E6:8F:80", "54:48-E6:8F:80:A5", "54:48:E6:8F:80:AG", "5448e68f80a5 ", "錠錠錠錠"] {
        let told = text.parse::<Address>().unwrap_err().to_string();
        assert!(told.contains("is no Bluetooth address"), "{text}: {told}");
    }
}

#[test]
fn a_key_is_32_digits_and_is_never_shown() {
    assert_eq!(format!(" {KEY}\n").parse(), Ok(key()));
    assert_eq!(format!("{:?}", key()), "BindKey(not shown)");
    let told = |text: &str| text.parse::<BindKey>().unwrap_err().to_string();
    assert_eq!(told(&KEY[1..]), "has 31 hex digits and 0 other characters; a bind key is 32 hex digits");
    assert_eq!(
        told(&format!("{}g", &KEY[1..])),
        "has 31 hex digits and 1 other characters; a bind key is 32 hex digits"
    );
    assert_ne!(key().mark(), BindKey::new([0; 16]).mark());
}

#[test]
fn a_version_reads_back_as_it_is_written() {
    for text in ["3.2.1", "0.0.0", "255.10.9.0"] {
        assert_eq!(text.parse::<Firmware>().unwrap().to_string(), text);
    }
    for text in ["", "1.2", "1.2.3.4.5", "1.2.256", "1..2", "01.2.3", "1.2.+3", "v1.2.3"] {
        assert!(text.parse::<Firmware>().is_err(), "{text}");
    }
}

#[test]
fn an_advertisement_comes_back_from_the_spool_as_it_was_heard() {
    for rssi_dbm in [None, Some(crate::DbMilliwatts(-67)), Some(crate::DbMilliwatts(0))] {
        let heard = Advertisement { address: SENDER, rssi_dbm, service_data: &DATA };
        let payload = heard.payload();
        assert_eq!(Advertisement::read(&heard.topic(), &payload), Ok(heard));
    }
    assert_eq!(Advertisement::read("bitlock/v1/s/d/state", &[0]), Err(SpooledError::Topic));
    assert_eq!(Advertisement::read("ble-54:48:E6:8F:80", &[0]), Err(SpooledError::Topic));
    assert_eq!(Advertisement::read("ble-5448E68F80A5", &[]), Err(SpooledError::Length { found: 0 }));
    assert_eq!(Advertisement::read("ble-5448E68F80A5", &[0; 254]), Err(SpooledError::Length { found: 254 }));
}
