//! What do people's questions to the history of one machine cost? Fills a history from sealed ranges, then asks for a
//! lock's 90 days, pages of the fleet, a cohort's 30 days and a comparison, and prints the middle and the 95th of a
//! hundred answers, the time of a range, and bytes a lock and day. `cargo bench -p zenei-store --bench history -- LOCKS
//! DAYS`; without figures 100,000 locks and 30 days. Called by people.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(clippy::disallowed_methods, reason = "a bench measures time")]
#![expect(clippy::unwrap_used, reason = "a bench that fails ends")]
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use zenei_detect::{DeviceIx, Fleet, Labels, Row, Succession, Sym};
use zenei_kit::Dice;
use zenei_store::control::Sealed;
use zenei_store::disk::RealDisk;
use zenei_store::history::local::Follower;
use zenei_store::history::{Dimension, History, LockFilter, LockSort};
use zenei_store::{ParquetStore, SealPlan};
use zenei_wire::{
    Body, DeviceTime, EngineTime, GatewayTime, Milliamps, Millivolts, Op, OpKind, OpResult, Percent, State,
};

const START_MS: i64 = 1_780_012_800_000;
const DAY_MS: i64 = 86_400_000;
/// Rows of a range.
const ROWS: usize = 50_000;
const ASKED: usize = 100;

fn main() {
    let numbers: Vec<u32> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let (locks, days) = match numbers.as_slice() {
        [locks, days, ..] => (*locks, *days),
        // As a test of itself: `cargo test` runs benches without optimisation.
        _ if std::env::args().any(|word| word == "--test") || cfg!(debug_assertions) => (200, 4),
        _ => (100_000, 30),
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let (ranges, seconds) = fill(folder.path(), &path, locks, days);
    let bytes = std::fs::metadata(&path).unwrap().len();
    println!(
        "{locks} locks, {days} days of 6 records: {bytes} bytes, {} a lock and day",
        bytes / u64::from(locks * days)
    );
    println!("{ranges} ranges of {ROWS} rows: {:.0} ms each", seconds * 1_000.0 / ranges as f64);
    ask(&History::local(&path), locks);
}

/// Fills the history; returns how many ranges it took, and the seconds.
fn fill(folder: &Path, path: &Path, locks: u32, days: u32) -> (usize, f64) {
    let mut fleet = Fleet::new();
    for lock in 0..locks {
        fleet.number(&format!("BL{lock:07}"));
    }
    let words: Vec<Sym> = (0..40).map(|word| fleet.intern(&format!("w{word}"))).collect();
    let store = ParquetStore::open(Arc::new(RealDisk), folder).unwrap();
    let mut follower = Follower::open(path, store.clone()).unwrap();
    let (mut dice, mut rows, mut from, mut ranges, mut seconds) = (Dice(1), Vec::new(), 0, 0, 0.0);
    for quarter in 0..days * 4 {
        for lock in 0..locks {
            rows.push(row(lock, quarter * 2, quarter, state(&mut dice, quarter), &words));
            if quarter % 2 == 1 {
                rows.push(row(lock, quarter * 2 + 1, quarter, op(&mut dice), &words));
            }
        }
        while rows.len() >= ROWS || (quarter + 1 == days * 4 && !rows.is_empty()) {
            let portion: Vec<Row> = rows.drain(..rows.len().min(ROWS)).collect();
            let to = Sealed { offset: from + portion.len() as u64, advanced_to: EngineTime(START_MS) };
            store.seal(&SealPlan { from, to }, &fleet, &portion, &[], &[], "gw").unwrap();
            let begun = Instant::now();
            follower.follow(to, &mut || true).unwrap();
            seconds += begun.elapsed().as_secs_f64();
            (from, ranges) = (to.offset, ranges + 1);
        }
    }
    (ranges, seconds)
}

fn row(lock: u32, seq: u32, quarter: u32, body: Body<'static>, words: &[Sym]) -> Row {
    let at = START_MS + i64::from(quarter) * DAY_MS / 4 + i64::from(lock % 21_600) * 1_000;
    let of = |from: usize, count: u32| words[from + (lock % count) as usize];
    Row {
        device: DeviceIx(lock),
        site: of(0, 12),
        boot: Some(1),
        seq: Some(seq),
        identity: 0,
        life: 0,
        succession: Succession::Usual,
        ts: DeviceTime(at),
        heard_at: GatewayTime(at),
        released_at: EngineTime(at),
        offset: u64::from(seq) * 1_000_000 + u64::from(lock),
        index: 0,
        late: false,
        authenticated: true,
        labels: Labels {
            model: of(12, 2),
            hw_rev: of(14, 3),
            lot: of(17, 10),
            fw: of(27, 3),
            service: of(30, 2),
            gw: of(32, 8),
            client_version: Sym::NONE,
        },
        uptime_s: None,
        body,
    }
}

fn state(dice: &mut Dice, quarter: u32) -> Body<'static> {
    Body::State(State {
        battery_mv: Some(Millivolts(2_800 + dice.below(100) as u16)),
        battery_pct: Some(Percent(90 - (quarter / 12).min(80) as u8)),
        ..State::default()
    })
}

fn op(dice: &mut Dice) -> Body<'static> {
    Body::Op(Op {
        peak_ma: Some(Milliamps(500 + dice.below(200) as u16)),
        mean_ma: Some(Milliamps(300)),
        duration_ms: Some(800),
        battery_min_mv: Some(Millivolts(2_600 + dice.below(80) as u16)),
        ..Op::of(OpKind::Lock, if dice.is(0.01) { OpResult::Jam } else { OpResult::Ok })
    })
}

fn ask(history: &History, locks: u32) {
    let to_ms = history.up_to_ms().unwrap() + 1;
    let mut dice = Dice(2);
    let mut device = || format!("BL{:07}", dice.below(locks.into()));
    let devices: Vec<String> = (0..ASKED).map(|_| device()).collect();
    measure("a lock's 90 days", |at| {
        assert!(history.lock(&devices[at], to_ms - 90 * DAY_MS, to_ms, 720).unwrap().is_some());
    });
    for sort in LockSort::ALL {
        let filter = LockFilter { sort, ..LockFilter::default() };
        measure(&format!("a page by {}", sort.as_str()), |_| {
            assert_eq!(history.locks(&filter).unwrap().total, u64::from(locks));
        });
    }
    let one = LockFilter { fw: Some("w27".to_owned()), sort: LockSort::Battery, ..LockFilter::default() };
    measure("a page of one firmware by battery", |_| assert!(history.locks(&one).unwrap().total > 0));
    measure("a cohort's 30 days", |_| {
        let cohort = history.cohort(Dimension::Fw, "w27", to_ms - 30 * DAY_MS, to_ms, 720).unwrap();
        assert!(!cohort.buckets.is_empty());
    });
    measure("the values of firmware", |_| assert_eq!(history.values(Dimension::Fw).unwrap().len(), 3));
    let begun = Instant::now();
    let compared = history.compare(Dimension::Fw, "w27", "w28", to_ms - 30 * DAY_MS, to_ms).unwrap();
    println!("two firmwares compared over {} locks: {:.0} ms", compared.a.read + compared.b.read, ms(begun));
}

fn measure(name: &str, mut work: impl FnMut(usize)) {
    let one = |at: usize| {
        let begun = Instant::now();
        work(at);
        ms(begun)
    };
    let mut found: Vec<f64> = (0..ASKED).map(one).collect();
    found.sort_by(f64::total_cmp);
    println!("{name}: {:.1} ms in the middle, {:.1} ms p95", found[ASKED / 2], found[ASKED * 95 / 100]);
}

fn ms(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1_000.0
}
