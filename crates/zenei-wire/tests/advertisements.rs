//! Properties of every advertisement and every string of bytes: writing and reading are inverse, nothing panics,
//! nothing without a valid MIC is accepted, and a listener counts each advertisement exactly once.
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use zenei_wire::bthome::{self, Address, BindKey, Firmware, Freshness, Half, Listener, OpenError, Reading, Set};
use zenei_wire::{Adv, CentiCelsius, GatewayTime, LockState, Milliamps, Millivolts, Percent};

fn firmware() -> impl Strategy<Value = Firmware> {
    vec(any::<u8>(), 3..=4).prop_map(|numbers| {
        let text = numbers.iter().map(u8::to_string).collect::<Vec<_>>().join(".");
        text.parse().expect("3 or 4 numbers of a byte")
    })
}

fn reading() -> impl Strategy<Value = Reading> {
    let power = (option::of(any::<u16>()), option::of(0..=100u8), option::of(any::<i16>()), option::of(any::<u16>()));
    let lock = (option::of(select(vec![LockState::Locked, LockState::Unlocked])), option::of(any::<bool>()));
    let rest = (option::of(any::<u16>()), option::of(any::<u8>()), option::of(firmware()));
    (power, lock, rest).prop_map(|(power, lock, (seq_low, packet_id, firmware))| {
        let adv = Adv {
            battery_mv: power.0.map(Millivolts),
            battery_pct: power.1.map(Percent),
            temp_c: power.2.map(CentiCelsius),
            peak_ma: power.3.map(Milliamps),
            lock_state: lock.0,
            problem: lock.1,
            seq_low,
            packet_id,
            ..Adv::default()
        };
        Reading { adv, firmware, unknown: 0 }
    })
}

fn key() -> impl Strategy<Value = BindKey> {
    any::<[u8; 16]>().prop_map(BindKey::new)
}

proptest! {
    #[test]
    fn what_is_written_reads_back(said in reading(), address: [u8; 6], key in key(), counter: u32) {
        let address = Address(address);
        let mut read = Reading::default();
        for set in [Set::A, Set::B] {
            let objects = said.objects(set);
            let open = bthome::open(&bthome::plain(&objects), address, Some(&key)).unwrap();
            let sealed = bthome::sealed(&objects, address, &key, counter);
            let opened = bthome::open(&sealed, address, Some(&key)).unwrap();
            prop_assert_eq!((open.counter, opened.counter, open.reading), (None, Some(counter), opened.reading));
            prop_assert!(bthome::advertising_data(&sealed).is_some());
            read.adv = Adv {
                packet_id: opened.reading.adv.packet_id,
                temp_c: read.adv.temp_c.or(opened.reading.adv.temp_c),
                seq_low: read.adv.seq_low.or(opened.reading.adv.seq_low),
                ..if set == Set::A { opened.reading.adv } else { read.adv }
            };
            read.firmware = read.firmware.or(opened.reading.firmware);
        }
        prop_assert_eq!(read, said);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..300), address: [u8; 6], key in option::of(key())) {
        let opened = bthome::open(&bytes, Address(address), key.as_ref());
        if bthome::is_encrypted(&bytes) {
            prop_assert!(opened.is_err(), "nobody has encrypted these");
        }
        let _ = bthome::sender(&bytes);
        let _ = bthome::Advertisement::read("ble-5448E68F80A5", &bytes);
    }

    #[test]
    fn whatever_changes_on_the_way_is_refused(
        said in reading(), address: [u8; 6], key in key(), counter: u32, at: prop::sample::Index, mask in 1..=u8::MAX,
    ) {
        let mut data = bthome::sealed(&said.objects(Set::A), Address(address), &key, counter);
        // The first byte marks whether it is encrypted at all; a plain one is not a forgery of an encrypted one.
        let at = 1 + at.index(data.len() - 1);
        data[at] ^= mask;
        prop_assert_eq!(bthome::open(&data, Address(address), Some(&key)), Err(OpenError::Forged));
    }

    #[test]
    fn each_advertisement_ends_in_one_place_and_no_counter_goes_back(
        heard in vec((0..100_000i64, 0..40u32, any::<bool>(), 0..3u16, any::<bool>()), 0..200),
    ) {
        let (mut listener, mut now, mut given, mut newest) = (Listener::default(), 0, 0, None);
        let (mut news, mut again, mut replayed, mut half_given) = (0, 0, 0, 0);
        for (later_ms, counter, is_a, value, is_plain) in heard {
            now += later_ms;
            while let Some(due) = listener.deadline().filter(|due| due.ms() <= now) {
                prop_assert!(due.ms() <= now);
                listener.give_up(|_| half_given += 1);
                prop_assert!(!listener.is_waiting());
            }
            let mut adv = Adv::default();
            if is_a { adv.battery_mv = Some(Millivolts(value)) } else { adv.temp_c = Some(CentiCelsius(value as i16)) }
            if is_plain { adv.packet_id = Some(counter as u8) } else { adv.counter = Some(counter) }
            let before = listener.clone();
            let mut records = 0;
            let verdict = listener.hear(Half { adv, firmware: None, at: GatewayTime(now) }, |merged| {
                records += 1;
                assert!(merged.adv.battery_mv.is_some() || merged.adv.temp_c.is_some());
            });
            match verdict {
                Freshness::News => news += 1,
                Freshness::Again => again += 1,
                Freshness::Replayed => {
                    replayed += 1;
                    prop_assert_eq!((&listener, records), (&before, 0), "a replay changes nothing");
                    prop_assert!(newest.is_some_and(|newest| counter < newest));
                }
            }
            // At most what waited, and this one.
            prop_assert!(records <= 2);
            given += records;
            if verdict == Freshness::News && !is_plain {
                newest = newest.max(Some(counter));
            }
        }
        let waiting = usize::from(listener.is_waiting());
        prop_assert!(given + half_given + waiting <= news + again, "{given} {half_given} {waiting} {news} {again} {replayed}");
    }
}
