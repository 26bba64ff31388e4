//! Tests of advertisements in the pipeline: one row for both halves, no row for a repetition or a replay, also after a
//! restart, and each advertisement counted once.
use crate::adverts::MAX_STRANGERS;
use crate::anomaly::Findings;
use crate::batch::{Batch, Heard, Portion};
use crate::pipeline::{Deadline, Pipeline};
use zenei_wire::bthome::{self, Address, Advertisement, BindKey, Keyring, Lock, NotAdvertised, Reading, Set};
use zenei_wire::{
    Adv, Body, CentiCelsius, DbMilliwatts, DeviceId, EngineTime, GatewayTime, LockState, Milliamps, Millivolts, Name,
    Percent, Reason, SiteId,
};

const LOCK: Address = Address([0xC0, 0xFF, 0xEE, 0, 0, 1]);
const STRANGER: Address = Address([0xAA, 0, 0, 0, 0, 2]);

fn key(byte: u8) -> BindKey {
    BindKey::new([byte; 16])
}

fn keyring(key: BindKey) -> Keyring {
    let mut keyring = Keyring::default();
    let (device, site) = (DeviceId::new("BL1").unwrap(), SiteId::new("tokyo-01").unwrap());
    keyring.add(LOCK, Lock { device, site, key: Some(key) });
    keyring
}

/// A message of the spool that holds an advertisement, as the store's decoder gives it.
fn decoded<'a>(keys: &'a Keyring, topic: &'a str, payload: &'a [u8], heard_at: GatewayTime, offset: u64) -> Heard<'a> {
    let adv = keys.decode(topic, payload, heard_at).unwrap();
    let (site, device, record, authenticated) = (adv.site, adv.device, adv.record, adv.authenticated);
    Heard { site, device, record, identity: 0, heard_at, offset, index: 0, authenticated }
}

fn reading(battery_mv: u16) -> Reading {
    let adv = Adv {
        battery_mv: Some(Millivolts(battery_mv)),
        battery_pct: Some(Percent(70)),
        temp_c: Some(CentiCelsius(1_850)),
        lock_state: Some(LockState::Locked),
        peak_ma: Some(Milliamps(600)),
        problem: Some(false),
        seq_low: Some(1_201),
        packet_id: Some(7),
        ..Adv::default()
    };
    Reading { adv, firmware: Some("3.2.1".parse().unwrap()), unknown: 0 }
}

/// A pipeline with its output, and the number of advertisements that it took.
struct Run {
    pipeline: Pipeline,
    keys: Keyring,
    batch: Batch,
    findings: Findings,
    taken: u64,
}

impl Run {
    fn new(keys: Keyring) -> Self {
        let mut pipeline = Pipeline::new(None);
        pipeline.provision(&keys);
        Self { pipeline, keys, batch: Batch::default(), findings: Findings::default(), taken: 0 }
    }

    /// Takes service data that was received at this second.
    fn hear(&mut self, address: Address, service_data: &[u8], at_s: i64) {
        let heard = Advertisement { address, rssi_dbm: Some(DbMilliwatts(-60)), service_data };
        let (topic, payload) = (heard.topic(), heard.payload());
        let at = GatewayTime(at_s * 1000);
        let heard = decoded(&self.keys, &topic, &payload, at, self.taken);
        self.pipeline.take(Portion::new(&[heard], at), &mut self.batch, &mut self.findings);
        self.taken += 1;
        self.balance();
    }

    /// Takes a set of the lock's, encrypted.
    fn hear_lock(&mut self, set: Set, counter: u32, battery_mv: u16, at_s: i64) {
        let key = self.keys.find(LOCK).unwrap().key.clone().unwrap();
        self.hear(LOCK, &bthome::sealed(&reading(battery_mv).objects(set), LOCK, &key, counter), at_s);
    }

    fn advance(&mut self, to_s: i64) {
        self.pipeline.advance(EngineTime(to_s * 1000), &mut self.batch, &mut self.findings);
        self.balance();
    }

    /// Each advertisement is counted in one place.
    fn balance(&self) {
        let batch = &self.batch;
        let accounted =
            batch.rows.len() as u64 + self.pipeline.held() + batch.duplicates + batch.replayed + batch.strangers;
        assert_eq!(self.taken, accounted, "{batch:?}");
    }

    fn restart(&mut self, keys: Keyring) {
        self.pipeline = Pipeline::restore(&self.pipeline.snapshot().unwrap(), None).unwrap();
        self.pipeline.provision(&keys);
        self.keys = keys;
    }

    /// Counter, voltage and whether it is trusted, of each row.
    fn rows(&self) -> Vec<(Option<u32>, u16, bool)> {
        let advs = self.batch.rows.iter().map(|row| {
            let Body::Adv(adv) = row.body else { panic!("{row:?}") };
            (adv.counter, adv.battery_mv.map_or(0, |voltage| voltage.0), row.authenticated)
        });
        advs.collect()
    }
}

#[test]
fn both_sets_make_one_row_that_is_trusted_and_stamped() {
    let mut run = Run::new(keyring(key(1)));
    run.hear_lock(Set::A, 1, 2_900, 10);
    assert_eq!((run.rows().len(), run.pipeline.held()), (0, 1));
    assert_eq!(run.pipeline.next_deadline(), Some((EngineTime(70_000), Deadline::Pair)));
    run.hear_lock(Set::B, 2, 2_900, 11);
    let row = run.batch.rows.first().unwrap();
    let expected = Adv { counter: Some(2), rssi_dbm: Some(DbMilliwatts(-60)), ..reading(2_900).adv };
    assert_eq!((run.rows().len(), &row.body, row.authenticated), (1, &Body::Adv(expected), true));
    let fleet = run.pipeline.fleet();
    assert_eq!((fleet.device_id(row.device), fleet.word(row.site)), ("BL1", Some("tokyo-01")));
    assert_eq!((fleet.word(row.labels.fw), row.ts.ms(), row.heard_at.ms()), (Some("3.2.1"), 11_000, 11_000));
    assert!(row.identity != 0 && row.boot.is_none() && row.seq.is_none());
}

#[test]
fn a_repetition_is_a_duplicate_and_a_replay_is_counted_also_after_a_restart() {
    let mut run = Run::new(keyring(key(1)));
    for _ in 0..2 {
        run.hear_lock(Set::A, 11, 2_900, 10);
        run.hear_lock(Set::B, 12, 2_900, 11);
        run.hear_lock(Set::A, 9, 3_100, 12);
        run.restart(keyring(key(1)));
    }
    assert_eq!(run.rows(), [(Some(12), 2_900, true)]);
    assert_eq!((run.batch.duplicates, run.batch.replayed), (3, 2));
    // Control: without the restored state the old advertisement passes for news.
    let mut forgetful = Run::new(keyring(key(1)));
    forgetful.hear_lock(Set::A, 9, 3_100, 12);
    forgetful.advance(100);
    assert_eq!(forgetful.rows(), [(Some(9), 3_100, true)]);
}

#[test]
fn under_another_key_counters_start_anew_and_what_waits_is_not_lost() {
    let mut run = Run::new(keyring(key(1)));
    run.hear_lock(Set::A, 500, 2_900, 10);
    run.restart(keyring(key(2)));
    run.hear_lock(Set::A, 1, 2_800, 11);
    run.hear_lock(Set::B, 2, 2_800, 12);
    assert_eq!(run.rows(), [(Some(500), 2_900, true), (Some(2), 2_800, true)]);
}

#[test]
fn a_state_is_stored_on_change_and_every_quarter_of_an_hour() {
    let mut run = Run::new(keyring(key(1)));
    let mut counter = 0;
    for at_s in (0..3_600).step_by(10) {
        // New counters every five minutes, another voltage once.
        counter += if at_s % 300 == 0 { 2 } else { 0 };
        let battery_mv = if at_s < 2_100 { 2_900 } else { 2_890 };
        run.hear_lock(Set::A, counter, battery_mv, at_s);
        run.hear_lock(Set::B, counter + 1, battery_mv, at_s + 1);
    }
    let stored: Vec<(i64, u16)> =
        run.batch.rows.iter().map(|row| row.heard_at.ms() / 1000).zip(run.rows().iter().map(|row| row.1)).collect();
    assert_eq!(stored, [(1, 2_900), (901, 2_900), (1_801, 2_900), (2_101, 2_890), (3_001, 2_890)]);
}

#[test]
fn a_plain_advertisement_is_kept_apart_and_touches_nothing() {
    let mut run = Run::new(keyring(key(1)));
    run.hear_lock(Set::A, 1, 2_900, 10);
    run.hear_lock(Set::B, 2, 2_900, 11);
    // In the lock's name, and under an unknown name.
    let forged = Reading { firmware: Some("9.9.9".parse().unwrap()), ..reading(1_000) };
    for (address, at_s) in [(LOCK, 12), (STRANGER, 13)] {
        run.hear(address, &bthome::plain(&forged.objects(Set::A)), at_s);
        run.hear(address, &bthome::plain(&forged.objects(Set::B)), at_s);
    }
    run.hear_lock(Set::A, 3, 2_890, 20);
    run.hear_lock(Set::B, 4, 2_890, 21);
    let trusted = [(Some(2), 2_900, true), (Some(4), 2_890, true)];
    assert_eq!(run.rows(), [trusted[0], (None, 1_000, false), (None, 1_000, false), trusted[1]]);
    let fleet = run.pipeline.fleet();
    let names: Vec<_> = run.batch.rows.iter().map(|row| fleet.device_id(row.device)).collect();
    assert_eq!(names, ["BL1", "BL1", "ble-AA0000000002", "BL1"]);
    let versions: Vec<_> = run.batch.rows.iter().map(|row| fleet.word(row.labels.fw).unwrap()).collect();
    assert_eq!(versions, ["3.2.1", "9.9.9", "9.9.9", "3.2.1"], "what a stranger says describes no lock");
}

#[test]
fn what_can_not_be_read_says_why() {
    let keys = keyring(key(1));
    let hear = |address: Address, service_data: &[u8]| {
        let heard = Advertisement { address, rssi_dbm: None, service_data };
        keys.decode(&heard.topic(), &heard.payload(), GatewayTime(0)).map(drop)
    };
    let objects = reading(2_900).objects(Set::A);
    assert_eq!(
        hear(STRANGER, &bthome::sealed(&objects, STRANGER, &key(1), 1)),
        Err(NotAdvertised::NoKey { address: STRANGER })
    );
    let reason = |refused: Result<(), NotAdvertised>| match refused {
        Err(NotAdvertised::Refused(refusal)) => refusal.reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(hear(LOCK, &bthome::sealed(&objects, LOCK, &key(2), 1))), Reason::Unauthenticated);
    assert_eq!(reason(hear(LOCK, &[0x20])), Reason::WrongType);
    assert_eq!(reason(hear(LOCK, &[0x40, 0x0C, 1])), Reason::MissingField);
    let other = keys.decode("bitlock/v1/s/d/state", b"{}", GatewayTime(0));
    assert_eq!(reason(other.map(drop)), Reason::BadTopic);
}

#[test]
fn strangers_can_not_fill_the_memory_and_keep_no_lock_out() {
    let mut run = Run::new(keyring(key(1)));
    let plain = bthome::plain(&reading(2_900).objects(Set::A));
    let strangers = u32::try_from(MAX_STRANGERS).unwrap() + 50;
    let hear = |run: &mut Run, number: u32| {
        let [a, b, c, d] = number.to_be_bytes();
        run.hear(Address([0xAA, 0, a, b, c, d]), &plain, 10);
    };
    (0..strangers).for_each(|number| hear(&mut run, number));
    assert_eq!(run.batch.strangers, 50);
    hear(&mut run, 0);
    run.hear(LOCK, &plain, 11);
    run.hear_lock(Set::A, 1, 2_800, 12);
    run.hear_lock(Set::B, 2, 2_800, 13);
    run.advance(200);
    assert_eq!(run.batch.strangers, 50);
    assert_eq!(run.batch.rows.len(), MAX_STRANGERS + 2);
}

#[test]
fn how_advertisements_are_split_into_calls_changes_nothing() {
    let keys = keyring(key(1));
    let mut messages = Vec::new();
    for number in 0..40u32 {
        let set = if number % 3 == 0 { Set::A } else { Set::B };
        // Now and then an old one.
        let counter = if number % 11 == 10 { 1 } else { number / 2 };
        let data = bthome::sealed(&reading(2_900 - (number / 7) as u16).objects(set), LOCK, &key(1), counter);
        let heard = Advertisement { address: LOCK, rssi_dbm: None, service_data: &data };
        messages.push((heard.topic(), heard.payload(), GatewayTime(i64::from(number) * 17_000)));
    }
    let heard: Vec<Heard<'_>> = (0..)
        .zip(&messages)
        .map(|(offset, (topic, payload, at))| decoded(&keys, topic, payload, *at, offset))
        .collect();
    let run = |portion: usize| {
        let (mut pipeline, mut batch, mut findings) = (Pipeline::new(None), Batch::default(), Findings::default());
        pipeline.provision(&keys);
        for heard in heard.chunks(portion) {
            pipeline.take(Portion::new(heard, heard.last().unwrap().heard_at), &mut batch, &mut findings);
        }
        pipeline.advance(EngineTime(10_000_000), &mut batch, &mut findings);
        batch
    };
    let whole = run(40);
    assert!(whole.rows.len() > 5 && whole.replayed > 0 && whole.duplicates > 0, "{whole:?}");
    for portion in [1, 3, 7] {
        assert_eq!(run(portion), whole);
    }
    let identities: std::collections::BTreeSet<_> = whole.rows.iter().map(|row| row.identity).collect();
    assert_eq!(identities.len(), whole.rows.len());
}

#[test]
fn a_stored_row_goes_through_again_as_it_is() {
    let mut run = Run::new(keyring(key(1)));
    run.hear_lock(Set::A, 1, 2_900, 10);
    run.hear_lock(Set::B, 2, 2_900, 11);
    let row = run.batch.rows[0].clone();
    let keys = keyring(key(1));
    let data = bthome::plain(&reading(2_900).objects(Set::A));
    let heard = Advertisement { address: LOCK, rssi_dbm: None, service_data: &data };
    let (topic, payload) = (heard.topic(), heard.payload());
    let half = decoded(&keys, &topic, &payload, row.heard_at, 0);
    let record = zenei_wire::Record { body: row.body.clone(), ..half.record };
    let stored =
        Heard { record, identity: row.identity, authenticated: true, device: Name::new("BL1").unwrap(), ..half };
    let (mut pipeline, mut batch, mut findings) = (Pipeline::new(None), Batch::default(), Findings::default());
    for _ in 0..2 {
        pipeline.take(Portion::new(std::slice::from_ref(&stored), GatewayTime(11_000)), &mut batch, &mut findings);
    }
    assert_eq!((batch.rows.len(), &batch.rows[0].body, batch.duplicates), (1, &row.body, 1));
}
