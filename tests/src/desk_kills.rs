//! Tests that the desk loses and doubles nothing, however often it dies: 10,000 anomalies of 500 faults, killed by
//! SIGKILL while it decides, commits and sends, before targets that fail, are slow, refuse and drop connections after
//! they accepted. The negative control leaves the outbox out, and must be seen to lose. `ZENEI_DESK_KILLS=1000` kills
//! more often.
#![expect(clippy::print_stdout, reason = "figures are shown beside what is asserted; the child speaks to its parent")]
mod check;
mod child;
mod feed;
mod remotes;

use check::{Wrong, check};
use child::{COMMITTING, CONTROL, DECIDING, DIES, FOLDER, IDLE, MARKS, OPENING, Plan, SENDING, SETTLING};
use feed::Feed;
use remote_sim::Faults;
use remotes::{Remotes, TARGETS, mixed};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use zenei_kit::Dice;
use zenei_kit::bound::{Deadline, within};
use zenei_store::{Clock, Control};

/// Kills in one run by default.
const KILLS: usize = 120;
/// Kills of the negative control.
const CONTROL_KILLS: usize = 15;
/// How long any step may take on a busy machine. A guess.
const STEP_WITHIN: Duration = Duration::from_secs(120);
/// How long the last process may take to send what is left, on a busy machine. A guess.
const DRAINED_WITHIN: Duration = Duration::from_secs(600);
/// How long a process goes on that does not what the kill aims at, once it has taken what it may take, or begun to
/// where requests are counted; then it is killed where it is.
const AIMED_FOR: Duration = Duration::from_millis(300);

/// The moment of the next kill.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So long after the start, at any stage: recovery too.
    Started(Duration),
    /// After so many requests more than when it begins to take, and a little later.
    Requests(u64, Duration),
    /// When the process does this at this place of the marks for the n-th time, and so many µs later.
    Doing(usize, u8, u64, u64),
}

impl Moment {
    fn drawn(number: usize, dice: &mut Dice) -> Self {
        let (times, later) = (1 + dice.below(3), dice.below(2) * dice.below(1_500));
        let target = 1 + dice.one_of(TARGETS.len());
        match number % 8 {
            0 => Self::Started(Duration::from_micros(dice.below(300_000))),
            1 | 2 => Self::Doing(0, DECIDING, times, later),
            3 | 4 => Self::Doing(0, COMMITTING, times, later / 4),
            5 => Self::Doing(target, SENDING, times, later),
            6 => Self::Doing(target, SETTLING, times, later),
            _ => Self::Requests(dice.below(200), Duration::from_micros(dice.below(3_000))),
        }
    }
}

/// A folder, the stand-ins, and what the process in the folder is to do.
struct Run {
    folder: tempfile::TempDir,
    plan: Plan,
    remotes: Remotes,
    marks: File,
    /// What the processes did when they were killed, by place and mark.
    hit: BTreeMap<(usize, u8), u64>,
}

/// A process of it.
struct Life {
    process: Child,
    input: ChildStdin,
    has_begun: Arc<AtomicBool>,
    is_fed: Arc<AtomicBool>,
    is_waiting: Arc<AtomicBool>,
    taken: Arc<AtomicU64>,
}

impl Run {
    fn new(faults: u64, anomalies: u64, is_direct: bool, of_targets: impl Fn(u64) -> Faults) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let remotes = Remotes::start(of_targets);
        // The last anomaly is an hour old: nothing is so old that it is given up, and nothing lies ahead.
        let base_s = Clock::System.now().ms() / 1_000 - 3_600 - i64::try_from(anomalies).expect("a number that fits");
        let feed = Feed { base_s, faults, anomalies };
        let plan = Plan { feed, is_direct, targets: remotes.targets(folder.path()) };
        plan.write(folder.path());
        std::fs::write(folder.path().join(MARKS), [IDLE; 1 + TARGETS.len()]).expect("a folder that can be written");
        let marks = File::open(folder.path().join(MARKS)).expect("a file of the folder");
        Self { folder, plan, remotes, marks, hit: BTreeMap::new() }
    }

    fn start(&self, moment: Option<Moment>) -> Life {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .expect("a file of the folder");
        let mut command = Command::new(std::env::current_exe().expect("the test knows its own path"));
        command.args(["desk_kills::a_process_that_the_others_start", "--exact", "--nocapture"]);
        command.env(FOLDER, self.folder.path());
        if let Some(Moment::Doing(place, mark, times, later_us)) = moment {
            command.env(DIES, format!("{place} {mark} {times} {later_us}"));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut process = command.spawn().expect("the child starts");
        let input = process.stdin.take().expect("a pipe");
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        let [has_begun, is_fed, is_waiting] = [(); 3].map(|()| Arc::new(AtomicBool::new(false)));
        let told = [("begins", &has_begun), ("fed", &is_fed), ("waits", &is_waiting)];
        let told = told.map(|(word, flag)| (word, Arc::clone(flag)));
        let taken = Arc::new(AtomicU64::new(0));
        let told_taken = Arc::clone(&taken);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if line.starts_with("taken ") {
                    told_taken.fetch_add(1, Ordering::SeqCst);
                }
                for (word, flag) in &told {
                    // The first line, `begins`, stands behind what the test harness says.
                    flag.fetch_or(line.ends_with(word), Ordering::SeqCst);
                }
            }
        });
        Life { process, input, has_begun, is_fed, is_waiting, taken }
    }

    fn doing(&self) -> [u8; 1 + TARGETS.len()] {
        let mut marks = [0; 1 + TARGETS.len()];
        std::os::unix::fs::FileExt::read_exact_at(&self.marks, &mut marks, 0).expect("the marks");
        marks
    }

    /// One process, which may feed up to this batch, killed at this moment.
    fn kill(&mut self, up_to: usize, moment: Moment) {
        let mut life = self.start(Some(moment));
        // It may have killed itself already.
        drop(writeln!(life.input, "{up_to}"));
        match moment {
            Moment::Started(after) => std::thread::park_timeout(after),
            Moment::Requests(more, later) => {
                let begun = within(STEP_WITHIN, || life.has_begun.load(Ordering::SeqCst).then_some(()));
                begun.unwrap_or_else(|| panic!("it does not begin: {}", self.log()));
                let wanted = self.remotes.requests() + more;
                let aimed = Deadline::after(AIMED_FOR);
                while self.remotes.requests() < wanted && !aimed.is_over() {
                    std::thread::park_timeout(Duration::from_micros(200));
                }
                std::thread::park_timeout(later);
            }
            Moment::Doing(place, ..) => {
                let mut has_ended = || life.process.try_wait().expect("the child's state").is_some();
                let at_rest = || life.is_waiting.load(Ordering::SeqCst);
                let come = within(STEP_WITHIN, || (has_ended() || at_rest()).then_some(()));
                come.unwrap_or_else(|| panic!("it neither ends nor waits: {}", self.log()));
                // What is sent comes after what is taken.
                within(if place == 0 { Duration::ZERO } else { AIMED_FOR }, || has_ended().then_some(()));
            }
        }
        life.process.kill().expect("the child runs");
        life.process.wait().expect("the child ends");
        for (place, mark) in self.doing().into_iter().enumerate() {
            *self.hit.entry((place, mark)).or_default() += 1;
        }
        std::fs::write(self.folder.path().join(MARKS), [IDLE; 1 + TARGETS.len()])
            .expect("a folder that can be written");
    }

    /// The last process: it takes all that is left, and sends it.
    fn drain(&self) {
        let mut life = self.start(None);
        writeln!(life.input, "{}", usize::MAX).expect("the child reads");
        let is_fed = within(STEP_WITHIN, || life.is_fed.load(Ordering::SeqCst).then_some(()));
        is_fed.unwrap_or_else(|| panic!("not fed: {}", self.log()));
        let control = Control::open_read_only(&self.folder.path().join(CONTROL)).expect("the control database");
        let left = || control.undelivered().expect("the outbox").len();
        let is_empty = within(DRAINED_WITHIN, || (left() == 0).then_some(()));
        is_empty.unwrap_or_else(|| panic!("{} messages are left: {}", left(), self.log()));
        let Life { mut process, input, taken, .. } = life;
        drop(input);
        assert!(process.wait().expect("the child ends").success(), "{}", self.log());
        assert!(taken.load(Ordering::SeqCst) > 0);
    }

    /// Kills so many processes, each of which feeds its share, lets the last one end, and checks.
    fn go(mut self, kills: usize, moment: impl Fn(usize) -> Moment) -> (Wrong, BTreeMap<(usize, u8), u64>) {
        let batches = self.plan.feed.batches().len();
        for number in 0..kills {
            self.kill((batches * (number + 1)).div_ceil(kills), moment(number));
        }
        self.drain();
        let wrong = check(self.folder.path(), &self.plan, &self.remotes);
        self.remotes.end();
        (wrong, self.hit)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).expect("the log")
    }
}

fn at(hit: &BTreeMap<(usize, u8), u64>, is_feeder: bool, mark: u8) -> u64 {
    hit.iter().filter(|((place, of), _)| (*place == 0) == is_feeder && *of == mark).map(|(_, times)| times).sum()
}

#[test]
fn kills_while_it_decides_commits_and_sends_lose_and_double_nothing() {
    let asked = std::env::var("ZENEI_DESK_KILLS").ok();
    let kills = asked.map_or(KILLS, |text| text.parse().unwrap_or_else(|error| panic!("{text}: {error}")));
    // 429 stops a target for a second, so the one that gets most messages sees fewest.
    let run = Run::new(500, 10_000, false, |target| mixed(target, if target == 5 { 1 } else { 4 }));
    let mut dice = Dice(1);
    let moments: Vec<Moment> = (0..kills).map(|number| Moment::drawn(number, &mut dice)).collect();
    let (wrong, hit) = run.go(kills, |number| moments[number]);
    let [opening, deciding, committing] = [OPENING, DECIDING, COMMITTING].map(|mark| at(&hit, true, mark));
    let [sending, settling] = [SENDING, SETTLING].map(|mark| at(&hit, false, mark));
    println!(
        "{kills} kills: {opening} while it opened, {deciding} while it decided, {committing} while it committed; of \
         the targets, {sending} had a request on its way and {settling} an answer being stored"
    );
    println!(
        "{} events, {} messages; {} lost, {} doubled; {} doubled at the target without a key, and reported",
        wrong.events,
        wrong.messages,
        wrong.lost.len(),
        wrong.doubled.len(),
        wrong.reported
    );
    assert!(wrong.lost.is_empty() && wrong.doubled.is_empty(), "{}", wrong.shown());
    assert!(wrong.events > 10_000 && wrong.messages >= 13_000, "{wrong:?}");
    for (phase, times) in [("decided", deciding), ("committed", committing), ("sent", sending), ("stored", settling)] {
        assert!(times * 20 >= kills as u64, "{times} of {kills} kills hit a process that {phase}");
    }
}

#[test]
fn without_the_outbox_the_same_kills_are_seen_to_lose() {
    let run = Run::new(50, 1_000, true, |_| Faults::none());
    let mut dice = Dice(2);
    let after: Vec<u64> = (0..CONTROL_KILLS).map(|_| dice.below(40)).collect();
    let (wrong, _) = run.go(CONTROL_KILLS, |number| Moment::Requests(after[number], Duration::ZERO));
    println!("without the outbox: {} of {} messages lost", wrong.lost.len(), wrong.messages);
    assert!(!wrong.lost.is_empty(), "{CONTROL_KILLS} kills lost none of {} messages", wrong.messages);
    let in_log = wrong.lost.iter().any(|line| line.starts_with("log") || line.starts_with("anomalies"));
    assert!(!in_log, "the log itself lost something: {}", wrong.shown());
}

#[test]
fn without_kills_the_control_loses_nothing() {
    let run = Run::new(10, 200, true, |_| Faults::none());
    let (wrong, _) = run.go(0, |_| Moment::Started(Duration::ZERO));
    assert!(wrong.lost.is_empty() && wrong.doubled.is_empty(), "{}", wrong.shown());
}

/// Nothing by itself; with a folder in its environment it is the process that is killed.
#[test]
fn a_process_that_the_others_start() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        child::live(Path::new(&folder));
    }
}
