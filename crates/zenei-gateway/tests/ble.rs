//! Reception through BlueZ and its recovery: a substitute for `org.bluez` on a private D-Bus is killed, hung and
//! switched off. Every wait is for a condition and has a bound.
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use zenei_bluez::{FakeBlueZ, PrivateBus};
use zenei_gateway::source::ble::{Advertisement, Hearing, ListenOptions, Listening, Standing, listen};
use zenei_wire::DbMilliwatts;

/// Far above what any step takes: the longest is a call that is given up after ten seconds, and a wait of two.
const BOUND: Duration = Duration::from_secs(60);
const LOCKS: [&str; 3] = ["C0:FF:EE:00:00:01", "C0:FF:EE:00:00:02", "C0:FF:EE:00:00:03"];

fn bus() -> PrivateBus {
    PrivateBus::start().expect("dbus-daemon starts: apt-get install dbus-daemon")
}

struct Bench {
    runtime: Runtime,
    listening: Listening,
}

impl Bench {
    fn start(bus: &PrivateBus) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        let guard = runtime.enter();
        let options = ListenOptions {
            bus: Some(bus.address()),
            judge: Box::new(|heard| if heard.service_data[0] == 0 { Standing::Valid } else { Standing::Doubtful }),
            ..ListenOptions::onlooker()
        };
        let listening = listen(options);
        drop(guard);
        Self { runtime, listening }
    }

    fn wait(&self, what: &str, mut is_so: impl FnMut(&Hearing) -> bool) -> Hearing {
        let mut status = self.listening.status();
        let found =
            self.runtime.block_on(async { timeout(BOUND, status.wait_for(|status| is_so(&status.hearing))).await });
        let shown = self.listening.status().borrow().clone();
        let found = found.unwrap_or_else(|_| panic!("not {what} within {BOUND:?}: {shown:?}"));
        found.expect("the listener runs").hearing.clone()
    }

    fn scanning(&self) {
        self.wait("scanning", |hearing| *hearing == Hearing::Scanning);
    }

    fn down(&self) -> String {
        match self.wait("down", |hearing| matches!(hearing, Hearing::Down { .. })) {
            Hearing::Down { reason } => reason,
            Hearing::Opening | Hearing::Scanning | Hearing::GivenUp => String::new(),
        }
    }

    /// Why it could not be opened at once.
    fn said(&self) -> String {
        let opened = self.runtime.block_on(async { timeout(BOUND, self.listening.opened()).await });
        opened.expect("the first attempt ends").expect_err("it fails")
    }

    fn next(&mut self) -> Advertisement {
        self.runtime.block_on(async { timeout(BOUND, self.listening.next()).await }).expect("an advertisement is heard")
    }

    /// Sends an advertisement that must be received.
    fn hear(&mut self, bluez: &FakeBlueZ, lock: &str, bytes: &[u8]) {
        assert!(bluez.advertise(lock, -61, bytes).expect("the bus is there"), "somebody scans");
        let heard = self.next();
        assert_eq!((heard.address.to_string().as_str(), heard.service_data.as_slice()), (lock, bytes));
        assert_eq!(heard.rssi_dbm, Some(DbMilliwatts(-61)));
    }
}

#[test]
fn each_change_of_three_locks_is_heard_from_the_first_on() {
    let bus = bus();
    let bluez = FakeBlueZ::start(&bus).unwrap();
    let mut bench = Bench::start(&bus);
    bench.scanning();
    for change in 0..200_u8 {
        for lock in LOCKS {
            bench.hear(&bluez, lock, &[change % 2, change]);
        }
    }
    let counters = bench.listening.counters();
    assert_eq!(counters.heard.load(Ordering::SeqCst), 600);
    assert_eq!(counters.valid.load(Ordering::SeqCst), 300);
    assert_eq!(counters.dropped.load(Ordering::SeqCst), 0);
    bench.runtime.block_on(bench.listening.stop());
    wait_until(|| bluez.scanners() == 0);
}

#[test]
fn what_comes_faster_than_it_is_taken_is_dropped_and_counted_and_the_newest_is_there() {
    let bus = bus();
    let bluez = FakeBlueZ::start(&bus).unwrap();
    let mut bench = Bench::start(&bus);
    bench.scanning();
    for number in 0..3_000_u32 {
        let lock = LOCKS[number as usize % 3];
        assert!(bluez.advertise(lock, -70, &number.to_be_bytes()).unwrap());
    }
    let counters = bench.listening.counters();
    wait_until(|| counters.heard.load(Ordering::SeqCst) == 3_000);
    let left: Vec<Advertisement> = std::iter::from_fn(|| bench.listening.take()).collect();
    assert_eq!(left.len() as u64 + counters.dropped.load(Ordering::SeqCst), 3_000);
    for (at, lock) in (0_u32..).zip(LOCKS) {
        let newest = left.iter().rfind(|heard| heard.address.to_string() == lock).unwrap();
        assert_eq!(newest.service_data, (2_997 + at).to_be_bytes());
    }
}

/// 5,000 a second for 30 seconds, or as fast as the machine can where that is slower.
#[test]
fn a_flood_of_half_a_minute_fills_no_memory_and_the_newest_of_each_lock_is_there() {
    const SECONDS: u32 = 30;
    const PER_SECOND: u32 = 5_000;
    let bus = bus();
    let bluez = FakeBlueZ::start(&bus).unwrap();
    let mut bench = Bench::start(&bus);
    bench.scanning();
    let counters = bench.listening.counters();
    let mut settled_kib = 0;
    for second in 0..SECONDS {
        let pace = bench.runtime.spawn(async { tokio::time::sleep(Duration::from_secs(1)).await });
        for number in second * PER_SECOND..(second + 1) * PER_SECOND {
            assert!(bluez.advertise(LOCKS[number as usize % 3], -70, &numbered(number)).unwrap());
            // A reader that takes one of fifty.
            if number.is_multiple_of(50) {
                drop(bench.listening.take());
            }
        }
        bench.runtime.block_on(pace).unwrap();
        if second == SECONDS / 3 {
            settled_kib = rss_kib();
        }
    }
    let sent = u64::from(SECONDS * PER_SECOND);
    wait_until(|| counters.heard.load(Ordering::SeqCst) == sent);
    // Were each one kept, these would be 8 MiB more. Other tests of this process share it.
    let grown_kib = rss_kib().saturating_sub(settled_kib);
    assert!(grown_kib < 4 * 1024, "memory grew by {grown_kib} KiB, from {settled_kib}, in 20 seconds");
    let left: Vec<Advertisement> = std::iter::from_fn(|| bench.listening.take()).collect();
    let dropped = counters.dropped.load(Ordering::SeqCst);
    assert!(dropped > sent * 9 / 10 && left.len() <= 24, "{dropped} dropped, {} left", left.len());
    for (at, lock) in LOCKS.iter().enumerate() {
        let newest = left.iter().rfind(|heard| heard.address.to_string() == *lock).unwrap();
        let number = (0..SECONDS * PER_SECOND).rfind(|number| *number as usize % 3 == at).unwrap();
        assert_eq!(newest.service_data, numbered(number));
    }
}

#[test]
fn bluez_is_killed_and_heard_again() {
    let bus = bus();
    let bluez = FakeBlueZ::start(&bus).unwrap();
    let mut bench = Bench::start(&bus);
    bench.scanning();
    bench.hear(&bluez, LOCKS[0], &[0, 1]);
    drop(bluez);
    let reason = bench.down();
    assert!(reason.contains("BlueZ"), "{reason}");
    let bluez = FakeBlueZ::start(&bus).unwrap();
    bench.scanning();
    bench.hear(&bluez, LOCKS[0], &[0, 2]);
    assert_eq!(bluez.scanners(), 1);
    assert!(bench.listening.status().borrow().steps.lost >= 1);
}

#[test]
fn the_bus_is_killed_and_heard_again() {
    let mut bus = bus();
    let bluez = FakeBlueZ::start(&bus).unwrap();
    let mut bench = Bench::start(&bus);
    bench.scanning();
    bench.hear(&bluez, LOCKS[1], &[0, 1]);
    bus.kill().unwrap();
    let reason = bench.down();
    assert!(reason.contains("bus"), "{reason}");
    drop(bluez);
    bus.restart().unwrap();
    let bluez = FakeBlueZ::start(&bus).unwrap();
    bench.scanning();
    bench.hear(&bluez, LOCKS[1], &[0, 2]);
    assert_eq!(bluez.scanners(), 1);
}

#[test]
fn a_service_that_does_not_answer_is_given_up_and_heard_once_it_does() {
    let bus = bus();
    let bluez = FakeBlueZ::start(&bus).unwrap();
    bluez.hang(true);
    let mut bench = Bench::start(&bus);
    let reason = bench.down();
    assert!(reason.contains("did not answer in time"), "{reason}");
    bluez.hang(false);
    bench.scanning();
    bench.hear(&bluez, LOCKS[2], &[0, 1]);
    assert!(bench.listening.status().borrow().steps.timed_out >= 1);
}

#[test]
fn an_adapter_that_was_off_and_on_scans_again() {
    let bus = bus();
    let bluez = FakeBlueZ::start(&bus).unwrap();
    let mut bench = Bench::start(&bus);
    bench.scanning();
    bluez.power(false).unwrap();
    assert_eq!(bench.down(), "the Bluetooth adapter was switched off");
    assert!(!bluez.advertise(LOCKS[0], -60, &[0]).unwrap(), "nothing is heard without power");
    bluez.power(true).unwrap();
    bench.scanning();
    wait_until(|| bluez.scanners() == 1);
    bench.hear(&bluez, LOCKS[0], &[0, 1]);
    let steps = bench.listening.status().borrow().steps;
    assert_eq!((steps.powered_on, steps.opened, steps.ladders), (1, 1, 0));
}

#[test]
fn what_is_missing_is_named() {
    let mut bus = bus();
    let bench = Bench::start(&bus);
    let said = bench.said();
    assert_eq!(said, "BlueZ is not on the system bus; start bluetoothd (version 5.63 or later)");
    drop(bench);

    let bluez = FakeBlueZ::start_with(&bus, false).unwrap();
    let bench = Bench::start(&bus);
    let said = bench.said();
    assert!(said.starts_with("there is no Bluetooth adapter at all; BlueZ knows none"), "{said}");
    drop((bench, bluez));

    bus.kill().unwrap();
    let bench = Bench::start(&bus);
    let said = bench.said();
    assert!(said.starts_with("the D-Bus system bus can't be reached"), "{said}");
}

fn wait_until(mut is_so: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if is_so() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    panic!("not so within a minute");
}

/// As many bytes as a lock's encrypted advertisement has.
fn numbered(number: u32) -> Vec<u8> {
    let mut bytes = vec![0; 23];
    bytes[19..].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// Memory of this process, the stand-in's included.
fn rss_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("linux tells");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has a line for it");
    line.trim().trim_end_matches(" kB").parse().expect("it is a number")
}
