//! How fast pages and API answer with a large fleet, and how much memory the process takes: the program as it runs,
//! with detection, desk and history, hears a simulated fleet through its ingress; then clients on loopback ask every
//! route, first while nothing arrives, then while records do and listeners follow the stream.
mod client;
mod daemon;
mod listeners;
mod routes;

use crate::cost::{Marks, quantile};
use client::Client;
use daemon::Daemon;
use firmware_sim::{Fleet, Message, Scenario};
use listeners::Listeners;
pub use listeners::Told;
pub use routes::Route;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use zenei_kit::bound;

/// So many clients ask at a time.
const CLIENTS: usize = 4;
/// The goal of every route, the time that 95 of 100 answers take at most, ms.
const GOAL_MS: f64 = 100.0;
/// Simulated time between two portions of records.
const STEP_MS: i64 = 900_000;
/// How long the program may be behind at the end of the fill.
const CATCHES_UP_WITHIN: Duration = Duration::from_secs(1_200);

/// How large the ground is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Locks.
    pub locks: usize,
    /// Days of their records before anybody asks.
    pub days: f64,
    /// Incidents, each of a lock of its own, beside those that detection opens.
    pub incidents: usize,
    /// How often each route is asked, at each of the two times.
    pub turns: usize,
    /// Listeners of the stream.
    pub listeners: usize,
    /// Further listeners that never read.
    pub deaf: usize,
    /// For how long records arrive while people listen, s.
    pub live_s: f64,
    /// How many records arrive a second in that time.
    pub per_second: usize,
}

/// What was measured.
#[derive(Debug)]
pub struct Found {
    /// Records before anybody asked.
    pub records: u64,
    /// What the fill took, s.
    pub fill_s: f64,
    /// The routes while nothing arrives.
    pub quiet: Vec<Route>,
    /// The routes while records arrive and listeners follow.
    pub busy: Vec<Route>,
    /// What the listeners heard.
    pub told: Told,
    /// Records that were published while they listened.
    pub live_records: u64,
    /// For how long, s.
    pub live_s: f64,
    /// Memory of the process at each step, KiB.
    pub memory: Vec<(&'static str, u64)>,
    /// Size of `history.db`, bytes.
    pub history_bytes: u64,
    /// The mean number of threads that wanted a processor in the last minute, at the beginning and at the end.
    pub load: [f64; 2],
}

/// Fills a fleet, and asks.
///
/// # Panics
/// Where a file can't be written, the program does not start or ends, or an answer is none of HTTP.
pub fn measure(size: Size) -> Found {
    let load = load();
    let mut scenario = Scenario::demo().expect("the embedded scenario is good");
    (scenario.locks, scenario.days) = (size.locks, 30.0);
    let mut fleet = Fleet::new(&scenario, 1).expect("the embedded scenario can be simulated");
    let daemon = Daemon::start(&fleet, size.incidents);
    let mut memory = vec![("started", daemon.memory_kib("VmRSS"))];
    let began = Marks::now(None);
    let (records, mut now_ms) = fill(&mut fleet, &daemon, size.days);
    catch_up(&daemon, size.locks);
    let fill_s = Marks::now(None).since(began).wall_s;
    memory.push(("filled", daemon.memory_kib("VmRSS")));
    let asked = routes::all(&daemon, &fleet);
    let quiet = routes::ask(&daemon, &asked, size.turns, CLIENTS);
    memory.push(("asked", daemon.memory_kib("VmRSS")));
    let listeners = Listeners::start(&daemon, size.listeners, size.deaf);
    let is_over = AtomicBool::new(false);
    let began = Marks::now(None);
    let (busy, live_records) = std::thread::scope(|scope| {
        let publisher = scope.spawn(|| publish(&mut fleet, &daemon, &mut now_ms, size.per_second, &is_over));
        let busy = scope.spawn(|| routes::ask(&daemon, &asked, size.turns, CLIENTS));
        listeners.step(&daemon, size.live_s);
        let busy = busy.join().expect("the clients ask to their end");
        is_over.store(true, Ordering::SeqCst);
        (busy, publisher.join().expect("the fleet publishes to its end"))
    });
    let live_s = Marks::now(None).since(began).wall_s;
    memory.push(("listened", daemon.memory_kib("VmRSS")));
    let told = listeners.end();
    memory.push(("peak", daemon.memory_kib("VmHWM")));
    let history_bytes = daemon.history_bytes();
    daemon.stop();
    let load = [load, self::load()];
    Found { records, fill_s, quiet, busy, told, live_records, live_s, memory, history_bytes, load }
}

/// Publishes the days before anybody asks; how many messages, and up to when.
fn fill(fleet: &mut Fleet, daemon: &Daemon, days: f64) -> (u64, i64) {
    let mut publisher = daemon.publisher("fill");
    let (mut said, mut records, mut now_ms) = (Vec::new(), 0, fleet.start_ms());
    let to_ms = now_ms + (days * 86_400_000.0) as i64;
    while now_ms < to_ms {
        now_ms = (now_ms + STEP_MS).min(to_ms);
        said.clear();
        fleet.advance(now_ms, &mut said);
        publisher.publish_all(&said).expect("the program takes records");
        records += said.len() as u64;
    }
    (records, now_ms)
}

/// Waits until the pages know every lock.
fn catch_up(daemon: &Daemon, locks: usize) {
    let mut client = Client::connect(daemon.http);
    let known = bound::within(CATCHES_UP_WITHIN, || {
        std::thread::park_timeout(Duration::from_millis(500));
        let answer = client.get("/api/v1/locks?limit=1").json();
        answer["total"].as_u64().filter(|&total| total * 100 >= locks as u64 * 99)
    });
    known.expect("the history has the locks in time");
}

/// Publishes so many messages a second until it is over, in ten portions a second.
fn publish(fleet: &mut Fleet, daemon: &Daemon, now_ms: &mut i64, per_second: usize, is_over: &AtomicBool) -> u64 {
    let mut publisher = daemon.publisher("live");
    let (mut waiting, mut sent): (Vec<Message>, u64) = (Vec::new(), 0);
    let began = Marks::now(None);
    while !is_over.load(Ordering::SeqCst) {
        let wanted = (Marks::now(None).since(began).wall_s * per_second as f64) as u64;
        let portion = usize::try_from(wanted - sent).expect("a portion is small");
        while waiting.len() < portion && *now_ms < fleet.end_ms() {
            *now_ms += 10_000;
            fleet.advance(*now_ms, &mut waiting);
        }
        let portion = portion.min(waiting.len());
        publisher.publish_all(&waiting[..portion]).expect("the program takes records");
        waiting.drain(..portion);
        sent += portion as u64;
        std::thread::park_timeout(Duration::from_millis(100));
    }
    sent
}

fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(f64::NAN)
}

/// Prints what was measured.
pub fn print(size: &Size, found: &Found) {
    println!(
        "{} locks, {} messages in {:.0} s; history.db {} MB; load {:.1} at the beginning, {:.1} at the end",
        size.locks,
        found.records,
        found.fill_s,
        found.history_bytes / 1_000_000,
        found.load[0],
        found.load[1]
    );
    for (step, kib) in &found.memory {
        println!("memory, {step}: {} MB", kib * 1_024 / 1_000_000);
    }
    let Told { board, changes, gap_s, missing, cut, .. } = &found.told;
    println!(
        "{} listeners for {:.0} s, {:.0} messages a second: {board} boards and {changes} changes each at least, \
         longest gap {gap_s:.1} s, {missing} changes missing, {cut} cut off; {} never read",
        size.listeners,
        found.live_s,
        found.live_records as f64 / found.live_s,
        size.deaf
    );
    for (name, routes) in [("nothing arrives", &found.quiet), ("records arrive", &found.busy)] {
        println!("{name}: ms, wanted p95 {GOAL_MS:.0}");
        for Route { path, ms, bytes, .. } in routes {
            let [p50, p95, max] = [0.5, 0.95, 1.0].map(|share| quantile(ms, share));
            let mark = if p95 > GOAL_MS { "!" } else { " " };
            println!("{mark} {path:<60} p50 {p50:>7.1} p95 {p95:>7.1} max {max:>7.1}  {} KB", bytes / 1_000);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_answers_and_every_listener_is_told_of_every_change() {
        let size =
            Size { locks: 60, days: 0.5, incidents: 12, turns: 2, listeners: 3, deaf: 2, live_s: 5.0, per_second: 20 };
        let found = measure(size);
        for route in found.quiet.iter().chain(&found.busy) {
            assert_eq!((route.path, route.failed.as_slice()), (route.path, [].as_slice()));
            assert_eq!(route.ms.len(), size.turns, "{}", route.path);
        }
        assert!(found.records > 100 && found.live_records > 0, "{found:?}");
        let Told { board, changes, missing, cut, .. } = found.told;
        assert!(board > 0 && changes > 0, "{:?}", found.told);
        assert_eq!((missing, cut), (0, 0));
    }
}
