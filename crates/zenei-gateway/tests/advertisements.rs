//! Advertisements in the spool become records in the store, also across restarts: both sets of values give one record,
//! a replayed advertisement is counted, and each advertisement counts once in the ledger.
#![expect(clippy::unwrap_used, reason = "the helpers of a test are tests")]
use std::path::Path;
use std::sync::Arc;
use zenei_detect::Pipeline;
use zenei_gateway::GatewayConfig;
use zenei_kit::QuietDesk;
use zenei_store::disk::RealDisk;
use zenei_store::{
    Clock, DropReason, Layout, Ledger, ParquetStore, Source, Spool, SpoolMessage, SpoolOptions, StoredRecord,
};
use zenei_wire::bthome::{self, Address, Advertisement, BindKey, Reading, Set};
use zenei_wire::bthome::{Keyring, Lock};
use zenei_wire::{Adv, Body, CentiCelsius, DbMilliwatts, DeviceId, GatewayTime, Millivolts, Reason, SiteId};

const LOCK: Address = Address([0xC0, 0xFF, 0xEE, 0, 0, 1]);
const STRANGER: Address = Address([0xAA, 0, 0, 0, 0, 2]);
const START_MS: i64 = 1_777_626_000_000;

fn key() -> BindKey {
    BindKey::new([7; 16])
}

fn set(set: Set, counter: u32, battery_mv: u16) -> Vec<u8> {
    let adv = Adv { battery_mv: Some(Millivolts(battery_mv)), temp_c: Some(CentiCelsius(1_850)), ..Adv::default() };
    let reading = Reading { adv, firmware: Some("3.2.1".parse().unwrap()), unknown: 0 };
    bthome::sealed(&reading.objects(set), LOCK, &key(), counter)
}

/// Appends advertisements to the spool, at seconds, as the radio's source does.
fn append(state: &Path, heard: &[(Address, Vec<u8>, i64)]) {
    let (mut spool, _) = Spool::open(Arc::new(RealDisk), &Layout::new(state).spool(), SpoolOptions::default()).unwrap();
    for (address, service_data, at_s) in heard {
        let heard = Advertisement { address: *address, rssi_dbm: Some(DbMilliwatts(-60)), service_data };
        let (topic, payload) = (heard.topic(), heard.payload());
        let message = SpoolMessage {
            heard_at: GatewayTime(START_MS + at_s * 1000),
            source: Source::Ble,
            authenticated: false,
            topic: &topic,
            payload: &payload,
        };
        spool.append_group(&[message]).unwrap();
    }
}

/// One run of a gateway, whose clock stands at a second: processes and seals the messages in the spool; returns the
/// ledger.
async fn live(state: &Path, at_s: i64) -> Ledger {
    let mut keys = Keyring::new(SiteId::new("tokyo-01").unwrap());
    let (device, site) = (DeviceId::new("BL1").unwrap(), SiteId::new("osaka-02").unwrap());
    keys.add(LOCK, Lock { device, site, key: Some(key()) });
    let pipeline = Box::new(|bytes: Option<&[u8]>| {
        bytes.map_or_else(|| Ok(Pipeline::new(None)), |bytes| Pipeline::restore(bytes, None))
    });
    let clock = Clock::simulated(GatewayTime(START_MS + at_s * 1000));
    let config = GatewayConfig { keys: Arc::new(keys), clock, ..GatewayConfig::new(state, "gw-1", pipeline) };
    let gateway = zenei_gateway::start(config, QuietDesk).unwrap();
    gateway.seal().await.unwrap();
    let ledger = gateway.ledger().borrow().clone();
    gateway.stop().await.unwrap();
    assert_eq!(ledger.balance(), Ok(()));
    ledger
}

fn records(state: &Path) -> Vec<StoredRecord> {
    let store = ParquetStore::open_read_only(Arc::new(RealDisk), &Layout::new(state).parquet());
    store.read_all(None).unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn what_locks_advertise_is_stored_once_and_a_replay_is_refused_by_the_next_life_too() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    let old = set(Set::A, 1, 3_300);
    let first = [
        (LOCK, old.clone(), 0),
        (LOCK, set(Set::B, 2, 0), 1),
        (LOCK, set(Set::A, 3, 2_900), 60),
        (LOCK, set(Set::B, 4, 0), 61),
        (LOCK, set(Set::B, 4, 0), 62),
        (STRANGER, bthome::plain(&[0x01, 50, 0x02, 0x6C, 0x07]), 63),
        (STRANGER, bthome::sealed(&[0x01, 50], STRANGER, &key(), 1), 64),
        (LOCK, bthome::sealed(&[0x01, 50], LOCK, &BindKey::new([8; 16]), 9), 65),
        (LOCK, set(Set::A, 5, 2_890), 70),
    ];
    append(state, &first);
    let ledger = live(state, 70).await;
    assert_eq!((ledger.received[&Source::Ble], ledger.stored, ledger.pending, ledger.duplicate), (9, 3, 1, 3));
    assert_eq!((ledger.dropped[&DropReason::NoKey], ledger.dead_letter[&Reason::Unauthenticated]), (1, 1));

    // A set that waits for its other half continues to wait in the next run; the old one is still old.
    append(state, &[(LOCK, old, 80), (LOCK, set(Set::B, 6, 0), 81)]);
    let ledger = live(state, 81).await;
    assert_eq!((ledger.stored, ledger.pending, ledger.duplicate), (4, 0, 4));
    assert_eq!(ledger.dropped[&DropReason::Replayed], 1);
    let shown: Vec<_> = records(state)
        .into_iter()
        .map(|stored| {
            let Body::Adv(adv) = stored.record.body else { panic!("{stored:?}") };
            let at_s = (stored.heard_at.ms() - START_MS) / 1000;
            let device = (stored.device_id.as_str().to_owned(), stored.site.as_str().to_owned());
            (device, adv.battery_mv.map(|voltage| voltage.0), adv.counter, at_s, stored.authenticated)
        })
        .collect();
    let lock = || ("BL1".to_owned(), "osaka-02".to_owned());
    let expected = [
        (lock(), Some(3_300), Some(2), 1, true),
        (lock(), Some(2_900), Some(4), 61, true),
        (("ble-AA0000000002".to_owned(), "tokyo-01".to_owned()), None, None, 63, false),
        (lock(), Some(2_890), Some(6), 81, true),
    ];
    assert_eq!(shown, expected);
}
