//! The load generator: simulated hubs that publish concurrently, reconnect after broken connections, resend each
//! message until its PUBACK, and count what they sent for each lock. Must not know why a connection breaks. Called by
//! the tests of kills and outages.
use crate::fleet::Key;
use crate::stopwatch::Stopwatch;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use zenei_kit::Dice;
use zenei_kit::bound::{Deadline, look_again};
use zenei_kit::mqtt::{Client, Packet, Publish};

/// How long a hub waits for any PUBACK on a busy machine, restarts included. A guess.
const IDLE_WITHIN: Duration = Duration::from_secs(60);
/// The locks' time at the start, ms since 1970; any would do.
const START_MS: i64 = 1_777_626_000_000;
/// The locks' restart counter.
const BOOT: u32 = 7;

/// The load to generate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Hubs, each with a connection.
    pub(crate) hubs: usize,
    /// Locks behind each hub.
    pub(crate) locks: usize,
    /// Messages in flight on each.
    pub(crate) window: usize,
    /// Records a second over all hubs; `None`: as many as are acknowledged.
    pub(crate) records_per_s: Option<u64>,
    /// A lock's own time between two of its records.
    pub(crate) step_ms: i64,
    pub(crate) seed: u64,
}

/// What the hubs share.
#[derive(Default)]
struct Shared {
    /// Where the daemon listens; `None` while it is dead.
    address: Mutex<Option<SocketAddr>>,
    /// Messages acknowledged, over all connections.
    acked: AtomicU64,
    /// No new messages; unacknowledged ones are still resent until acknowledged.
    hush: AtomicBool,
    /// How many locks of the first hub have a weak battery.
    weak: AtomicUsize,
}

/// The running hubs.
pub(crate) struct Hubs {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Vec<Lock>>>,
    since: Stopwatch,
}

/// The records that one lock sent, all of them acknowledged; numbered from 0 without holes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lock {
    pub(crate) device: String,
    step_ms: i64,
    pub(crate) records: u32,
    pub(crate) operations: u32,
    pub(crate) errors: u32,
}

impl Lock {
    /// The keys of its records.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        let key = |seq| Key { device: self.device.clone(), boot: Some(BOOT), seq: Some(seq), ts_ms: self.ts_ms(seq) };
        (0..self.records).map(key)
    }

    fn ts_ms(&self, seq: u32) -> i64 {
        START_MS + i64::from(seq) * self.step_ms
    }
}

impl Hubs {
    /// Starts the hubs; they wait for an address.
    pub(crate) fn start(load: Load) -> Self {
        let (shared, since) = (Arc::new(Shared::default()), Stopwatch::start());
        let start = |number| {
            let hub = Hub::new(number, load, since, &shared);
            std::thread::spawn(move || hub.run())
        };
        Self { threads: (0..load.hubs).map(start).collect(), shared, since }
    }

    /// Sets where the daemon listens; `None` once it is dead.
    pub(crate) fn speak_to(&self, address: Option<SocketAddr>) {
        *self.shared.address.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    pub(crate) fn have_an_address(&self) -> bool {
        self.shared.address().is_some()
    }

    /// Messages acknowledged.
    pub(crate) fn acked(&self) -> u64 {
        self.shared.acked.load(Ordering::SeqCst)
    }

    /// How long they have run.
    pub(crate) fn seconds(&self) -> f64 {
        self.since.seconds()
    }

    /// From now on the batteries of so many locks fail under load.
    pub(crate) fn weaken(&self, locks: usize) {
        self.shared.weak.store(locks, Ordering::SeqCst);
    }

    /// Stops new messages; returns once all sent ones are acknowledged, with the records of each lock.
    pub(crate) fn settle(self) -> Vec<Lock> {
        self.shared.hush.store(true, Ordering::SeqCst);
        self.threads.into_iter().flat_map(|hub| hub.join().expect("a hub speaks to its end")).collect()
    }
}

/// How often each record was sent: once.
pub(crate) fn keys(locks: &[Lock]) -> BTreeMap<Key, u64> {
    locks.iter().flat_map(Lock::keys).map(|key| (key, 1)).collect()
}

impl Shared {
    fn address(&self) -> Option<SocketAddr> {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_hushed(&self) -> bool {
        self.hush.load(Ordering::SeqCst)
    }
}

/// A message that has no PUBACK yet.
struct InFlight {
    id: u16,
    topic: String,
    payload: Vec<u8>,
    sent: bool,
}

impl InFlight {
    fn publish(&self, dup: bool) -> Publish<'_> {
        Publish { id: self.id, dup, retain: false, topic: &self.topic, payload: &self.payload }
    }
}

/// A hub that publishes for some locks over one connection at a time, and resends messages without a PUBACK.
struct Hub {
    number: usize,
    shared: Arc<Shared>,
    dice: Dice,
    window: usize,
    records_per_s: Option<f64>,
    /// Records that were due and are never sent.
    forgone: f64,
    since: Stopwatch,
    locks: Vec<Lock>,
    records: u64,
    messages: u16,
    flight: VecDeque<InFlight>,
}

impl Hub {
    fn new(number: usize, load: Load, since: Stopwatch, shared: &Arc<Shared>) -> Self {
        let lock = |lock| {
            let (device, step_ms) = (format!("BL{number:02}{lock:04}"), load.step_ms);
            Lock { device, step_ms, records: 0, operations: 0, errors: 0 }
        };
        Self {
            number,
            shared: Arc::clone(shared),
            dice: Dice(load.seed.wrapping_mul(1_000).wrapping_add(number as u64)),
            window: load.window,
            records_per_s: load.records_per_s.map(|per_s| per_s as f64 / load.hubs as f64),
            forgone: 0.0,
            since,
            locks: (0..load.locks).map(lock).collect(),
            records: 0,
            messages: 0,
            flight: VecDeque::new(),
        }
    }

    /// Publishes until it must stop and all messages are acknowledged; returns the records.
    fn run(mut self) -> Vec<Lock> {
        let mut idle = Deadline::after(IDLE_WITHIN);
        while !self.is_done() {
            assert!(!idle.is_over(), "hub {} got no PUBACK for {IDLE_WITHIN:?}", self.number);
            let before = self.shared.acked.load(Ordering::SeqCst);
            // Broken connections are the subject of these tests.
            let _ = self.shared.address().map(|address| self.speak(address));
            if self.shared.acked.load(Ordering::SeqCst) > before {
                idle = Deadline::after(IDLE_WITHIN);
            }
            look_again();
        }
        self.locks
    }

    fn is_done(&self) -> bool {
        self.flight.is_empty() && self.shared.is_hushed()
    }

    /// Whether a record is due by now. A backlog from a time when the daemon was dead or busy is made up for by at most
    /// two seconds: on a slow machine it would grow without end.
    fn is_due(&mut self) -> bool {
        if self.shared.is_hushed() {
            return false;
        }
        let Some(per_s) = self.records_per_s else { return true };
        let behind = per_s * self.since.seconds() - self.forgone - self.records as f64;
        self.forgone += (behind - 2.0 * per_s).max(0.0);
        behind > 0.0
    }

    /// One connection until it breaks.
    fn speak(&mut self, address: SocketAddr) -> io::Result<()> {
        let mut client = Client::connect(address, &format!("hub-{}", self.number))?;
        let again = self.flight.iter().map(|message| message.publish(message.sent));
        client.send(again)?;
        self.flight.iter_mut().for_each(|message| message.sent = true);
        while !self.is_done() {
            let said = self.flight.len();
            while self.flight.len() < self.window && self.is_due() {
                self.say();
            }
            client.send(self.flight.iter().skip(said).map(|message| message.publish(false)))?;
            self.flight.iter_mut().for_each(|message| message.sent = true);
            if self.flight.is_empty() {
                look_again();
                continue;
            }
            let mut answer = Some(client.receive()?);
            while let Some(packet) = answer {
                self.hear(&packet);
                answer = client.take();
            }
        }
        Ok(())
    }

    fn hear(&mut self, packet: &Packet) {
        let Packet::PubAck { id } = packet else { panic!("hub {} was answered with {packet:?}", self.number) };
        // In order of sending: MQTT 3.1.1, section 4.6.
        let front = self.flight.pop_front();
        let message = front.unwrap_or_else(|| panic!("hub {}: PUBACK {id} for nothing", self.number));
        assert_eq!(message.id, *id, "hub {}: PUBACKs out of order", self.number);
        self.shared.acked.fetch_add(1, Ordering::SeqCst);
    }

    /// A new message: mostly one record, at times the records that a lock held while it was offline.
    fn say(&mut self) {
        let number = self.dice.below(self.locks.len() as u64) as usize;
        let kind = ["state", "state", "op", "error"][self.dice.below(4) as usize];
        let count = if self.dice.below(40) == 0 { 1 + self.dice.below(9) as u32 } else { 1 };
        let is_weak = self.number == 0 && number < self.shared.weak.load(Ordering::SeqCst);
        let battery_min_mv = if is_weak { 2380 } else { 2610 };
        let lock = &mut self.locks[number];
        let mut records = Vec::new();
        for seq in lock.records..lock.records + count {
            let rest = match kind {
                "op" => format!(
                    r#""op":"unlock","source":"app","result":"ok","duration_ms":820,"mean_ma":310,"peak_ma":612,"current_ma":[90,612,300],"sample_ms":20,"battery_min_mv":{battery_min_mv}"#
                ),
                "error" => r#""code":"jam""#.to_owned(),
                _ => r#""battery_mv":2874,"battery_pct":71,"temp_c":18.5,"lock_state":"locked""#.to_owned(),
            };
            let ts_ms = lock.ts_ms(seq);
            records.push(format!(r#"{{"ts":{ts_ms},"boot":{BOOT},"seq":{seq},"fw":"3.2.1",{rest}}}"#));
        }
        lock.records += count;
        lock.operations += if kind == "op" { count } else { 0 };
        lock.errors += if kind == "error" { count } else { 0 };
        self.records += u64::from(count);
        let payload = if count == 1 { records.remove(0) } else { format!("[{}]", records.join(",")) };
        self.messages = self.messages % 60_000 + 1;
        let topic = format!("bitlock/v1/site-test/{}/{kind}", lock.device);
        self.flight.push_back(InFlight { id: self.messages, topic, payload: payload.into_bytes(), sent: false });
    }
}
