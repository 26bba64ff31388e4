//! The process that is killed: the product's desk and senders over a folder, fed with findings as far as its parent
//! allows. It shows in a file what it is doing, so that the parent can count what a kill hit; and it kills itself while
//! it does what the parent asks for, because no other process would be fast enough. Must not know what is checked.
//! Started by the parent as this test binary again.
//!
//! As a daemon after a crash, it begins at its last checkpoint and takes again what came after that.
use super::feed::Feed;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;
use zenei_desk::notify::queue::QueueError;
use zenei_desk::notify::{
    Delivery, Letter, Pace, Queue, Remote, Round, SendError, Sender, Sent, Target, TargetConfig, Watched,
};
use zenei_desk::{Attempt, DeskDriver, Route, Seen, SharedDesk};
use zenei_incident::message::{Lang, Message};
use zenei_store::control::OutboxRow;
use zenei_store::{Clock, Control};
use zenei_wire::EngineTime;

/// The environment variable that makes this process a child; it holds the folder.
pub(super) const FOLDER: &str = "ZENEI_TESTS_DESK_CHILD";
/// The environment variable that says at which mark this process kills itself: place, mark, how many of them come
/// first, and how long after, in µs.
pub(super) const DIES: &str = "ZENEI_TESTS_DESK_CHILD_DIES";
/// The file of the folder that says what the child does.
pub(super) const PLAN: &str = "plan.json";
/// The control database.
pub(super) const CONTROL: &str = "control.db";
/// The file of marks: one byte for the feeder, then one for each target.
pub(super) const MARKS: &str = "marks";
/// The number of batches after which a restart begins.
const CHECKPOINT: &str = "checkpoint";
/// Batches between two checkpoints.
const CHECKPOINT_EVERY: usize = 10;
/// How often the control sends what fails: no outbox, but as much patience as a process has.
const DIRECT_TRIES: u32 = 30;

/// Opening the control database and reading its log.
pub(super) const OPENING: u8 = b'o';
/// Deciding on findings.
pub(super) const DECIDING: u8 = b'd';
/// Making findings and events durable.
pub(super) const COMMITTING: u8 = b'c';
/// A request is on its way.
pub(super) const SENDING: u8 = b's';
/// Storing how a request ended.
pub(super) const SETTLING: u8 = b't';
/// None of these.
pub(super) const IDLE: u8 = b'-';

/// What the child does.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) feed: Feed,
    /// Whether the outbox is left out: what was committed is sent at once, and nothing of it is remembered.
    pub(super) is_direct: bool,
    pub(super) targets: BTreeMap<String, TargetConfig>,
}

impl Plan {
    /// Writes it into the folder.
    pub(super) fn write(&self, folder: &Path) {
        let Feed { base_s, faults, anomalies } = self.feed;
        let plan = serde_json::json!({"base_s": base_s, "faults": faults, "anomalies": anomalies,
            "is_direct": self.is_direct, "targets": self.targets});
        fs::write(folder.join(PLAN), plan.to_string()).expect("the folder holds the plan");
    }

    fn read(folder: &Path) -> Self {
        let plan: Value = serde_json::from_slice(&fs::read(folder.join(PLAN)).expect("the folder holds the plan"))
            .expect("the folder holds the plan");
        let number = |name: &str| plan[name].as_u64().expect("the plan has it");
        let base_s = plan["base_s"].as_i64().expect("the plan has it");
        Self {
            feed: Feed { base_s, faults: number("faults"), anomalies: number("anomalies") },
            is_direct: plan["is_direct"].as_bool().expect("the plan has it"),
            targets: serde_json::from_value(plan["targets"].clone()).expect("the plan has it"),
        }
    }
}

/// What the process does now, for its parent; a kill leaves it as it was.
#[derive(Clone, Debug)]
struct Marks {
    file: Arc<File>,
    end: Option<Arc<End>>,
}

/// When the process kills itself.
#[derive(Debug)]
struct End {
    place: usize,
    mark: u8,
    left: AtomicU64,
    after: Duration,
}

impl End {
    fn read() -> Option<Arc<Self>> {
        let text = std::env::var(DIES).ok()?;
        let numbers: Vec<u64> = text.split(' ').map(|word| word.parse().expect("four numbers")).collect();
        let [place, mark, left, after_us] = numbers[..] else { panic!("{text:?} has not four numbers") };
        let (place, mark) = (usize::try_from(place).expect("a place"), u8::try_from(mark).expect("a mark"));
        Some(Arc::new(Self { place, mark, left: AtomicU64::new(left), after: Duration::from_micros(after_us) }))
    }

    fn come(&self) {
        let kill = || _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        if self.after.is_zero() {
            return kill();
        }
        let after = self.after;
        std::thread::spawn(move || {
            std::thread::park_timeout(after);
            kill();
        });
    }
}

/// The marks for the subscriber, which is one for the whole process.
static MARKED: OnceLock<Marks> = OnceLock::new();

impl Marks {
    fn set(&self, place: usize, mark: u8) {
        self.file.write_all_at(&[mark], place as u64).expect("the marks can be written");
        if let Some(end) = self.end.as_ref().filter(|end| (end.place, end.mark) == (place, mark))
            && end.left.fetch_sub(1, Ordering::SeqCst) == 1
        {
            end.come();
        }
    }
}

/// A queue that marks when it stores how a request ended.
#[derive(Clone)]
struct MarkedQueue {
    desk: SharedDesk,
    marks: Marks,
    place: usize,
}

impl Queue for MarkedQueue {
    fn due(&self, target: &str, now: EngineTime, limit: u32) -> Result<Vec<OutboxRow>, QueueError> {
        self.desk.due(target, now, limit)
    }

    fn letter(&self, row: &OutboxRow) -> Result<Letter, QueueError> {
        self.desk.letter(row)
    }

    fn begin(&self, row: &OutboxRow) -> Result<(), QueueError> {
        self.desk.begin(row)
    }

    fn watched(&self, target: &str) -> Result<Vec<Watched>, QueueError> {
        self.desk.watched(target)
    }

    fn saw(&self, target: &str, seen: &Seen, at: EngineTime) -> Result<(), QueueError> {
        Queue::saw(&self.desk, target, seen, at)
    }

    fn settle(&self, row: &OutboxRow, attempt: &Attempt, at: EngineTime) -> Result<(), QueueError> {
        self.marks.set(self.place, SETTLING);
        let settled = Queue::settle(&self.desk, row, attempt, at);
        self.marks.set(self.place, IDLE);
        settled
    }

    fn written(&self) -> watch::Receiver<u64> {
        self.desk.written()
    }
}

/// A target that marks when it sends.
struct MarkedTarget {
    target: Target,
    marks: Marks,
    place: usize,
}

impl Remote for MarkedTarget {
    fn name(&self) -> &str {
        Remote::name(&self.target)
    }

    fn per_second(&self) -> f64 {
        Remote::per_second(&self.target)
    }

    fn has_key(&self) -> bool {
        Remote::has_key(&self.target)
    }

    fn round_every(&self) -> Option<Duration> {
        Remote::round_every(&self.target)
    }

    async fn round(&self, round: &Round<'_>) -> Result<Vec<Seen>, SendError> {
        Remote::round(&self.target, round).await
    }

    async fn send(&self, delivery: &Delivery<'_>) -> Result<Sent, SendError> {
        self.marks.set(self.place, SENDING);
        let sent = self.target.send(delivery).await;
        self.marks.set(self.place, IDLE);
        sent
    }
}

/// Hears that the driver begins to commit, and nothing else.
struct Commits;

impl tracing::Subscriber for Commits {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == zenei_desk::driver::COMMITS
    }

    fn event(&self, _: &tracing::Event<'_>) {
        if let Some(marks) = MARKED.get() {
            marks.set(0, COMMITTING);
        }
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// Waits that end within a test's time, and as fast as the remote answers.
const PACE: Pace = Pace {
    look_every: Duration::from_millis(20),
    wait_first: Duration::from_millis(10),
    wait_most: Duration::from_millis(80),
    per_second: Some(100_000.0),
};

fn now() -> EngineTime {
    Clock::System.now().as_engine()
}

/// Lives until it is killed, or until its parent closes its input.
pub(super) fn live(folder: &Path) {
    let plan = Plan::read(folder);
    let file = File::options().write(true).open(folder.join(MARKS)).expect("the file of marks");
    let marks = MARKED.get_or_init(|| Marks { file: Arc::new(file), end: End::read() }).clone();
    tracing::subscriber::set_global_default(Commits).expect("no other subscriber");
    marks.set(0, OPENING);
    let routes: Vec<Route> = plan.targets.iter().map(|(name, target)| target.route(name)).collect();
    let targets = plan.targets.iter().map(|(name, config)| Target::open(name, config).expect("a target that opens"));
    let control = Control::open(&folder.join(CONTROL)).expect("the control database");
    let outbox = if plan.is_direct { Vec::new() } else { routes.clone() };
    let desk = SharedDesk::new(DeskDriver::open(control, outbox).expect("a log that can be read"));
    marks.set(0, IDLE);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let (_keep, stop) = watch::channel(false);
    let mut direct = Direct {
        targets: Vec::new(),
        routes,
        sent: desk.lock().control().events().expect("the events can be read").len(),
    };
    for (place, target) in (1..).zip(targets) {
        if plan.is_direct {
            direct.targets.push(target);
            continue;
        }
        let queue = MarkedQueue { desk: desk.clone(), marks: marks.clone(), place };
        let remote = Arc::new(MarkedTarget { target, marks: marks.clone(), place });
        runtime.spawn(Sender::new(queue, remote, Lang::Ja, now).with_pace(PACE).run(stop.clone()));
    }
    feed(folder, &plan, &desk, &marks, |desk| {
        if plan.is_direct {
            runtime.block_on(direct.send(desk));
        }
    });
}

/// Takes the batches from the last checkpoint on, as far as the lines of the input allow; returns when the input ends.
fn feed(folder: &Path, plan: &Plan, desk: &SharedDesk, marks: &Marks, mut taken: impl FnMut(&SharedDesk)) {
    let mut lines = io::stdin().lock().lines();
    let mut allowed = 0;
    println!("begins");
    let from = fs::read_to_string(folder.join(CHECKPOINT)).map_or(0, |text| text.parse().expect("a number"));
    for (number, batch) in plan.feed.batches().into_iter().enumerate().skip(from) {
        while number >= allowed {
            // At first it waits for nothing: its parent has written the line already.
            if allowed > 0 {
                println!("waits");
            }
            let Some(line) = lines.next() else { return };
            allowed = line.expect("a line with a number").parse().expect("a line with a number");
        }
        marks.set(0, DECIDING);
        desk.take(now(), &plan.feed.findings(batch)).expect("findings that can be taken");
        marks.set(0, IDLE);
        taken(desk);
        println!("taken {number}");
        if number % CHECKPOINT_EVERY == 0 {
            let new = folder.join("checkpoint.new");
            fs::write(&new, number.to_string()).expect("a folder that can be written");
            fs::rename(new, folder.join(CHECKPOINT)).expect("a folder that can be written");
        }
    }
    println!("fed");
    println!("waits");
    lines.for_each(drop);
}

/// The negative control: no outbox.
struct Direct {
    targets: Vec<Target>,
    routes: Vec<Route>,
    /// How many events were there when the last were sent.
    sent: usize,
}

impl Direct {
    /// Sends every event that is new, to each target that wants it; what fails is tried again, but nothing is stored.
    async fn send(&mut self, desk: &SharedDesk) {
        let events = desk.lock().control().events().expect("the events can be read");
        for stored in events.iter().skip(self.sent) {
            for (target, route) in self.targets.iter().zip(&self.routes) {
                let mut row = OutboxRow {
                    id: stored.incident,
                    target: target.name.clone(),
                    incident: stored.incident,
                    event_seq: stored.seq,
                    body: "{}".into(),
                    attempt: 0,
                    next_at_ms: 0,
                    unanswered: 0,
                    tried_from_ms: None,
                };
                let Letter { incident, event, remote, opens_channel, .. } = desk.letter(&row).expect("a letter");
                row.id = route.message(&event, 0).id;
                if !route.takes(&incident, &event) {
                    continue;
                }
                let message = Message::of(&incident, &event, incident.service.as_deref(), Lang::Ja);
                for attempt in 0..DIRECT_TRIES {
                    let delivery = Delivery {
                        target: &target.name,
                        row: row.id,
                        attempt,
                        unanswered: attempt,
                        incident: &incident,
                        event: &event,
                        message: &message,
                        remote: &remote,
                        invitees: &[],
                        opens_channel,
                        now: now(),
                    };
                    if target.send(&delivery).await.is_ok() {
                        break;
                    }
                }
            }
        }
        self.sent = events.len();
    }
}
