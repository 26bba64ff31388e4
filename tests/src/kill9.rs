//! Tests that a PUBACK means durable, and that a killed daemon restarts without losing or duplicating a record. Kills
//! `zenei run` under load by SIGKILL, again and again over one state directory. The negative control acknowledges
//! before it writes, and must be seen to lose. `ZENEI_KILLS=200` kills more often.
use crate::daemon::{Daemon, Site};
use crate::fleet::{Key, difference, listed};
use crate::hub::{self, Hubs, Load};
use crate::program::succeed;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use zenei_kit::Dice;
use zenei_kit::bound::{Deadline, look_again, within};

/// Kills in one run by default.
const KILLS: usize = 20;
/// The hubs' load: as much as is acknowledged.
const LOAD: Load = Load { hubs: 6, locks: 5, window: 100, records_per_s: None, step_ms: 1_000, seed: 1 };
/// How long any step between two kills may take on a busy machine. A guess.
const STEP_WITHIN: Duration = Duration::from_secs(60);

/// The moment of the next kill.
#[derive(Debug)]
enum Moment {
    /// After so many more PUBACKs.
    Acks(u64),
    /// So long after the start, at any stage: recovery too.
    Started(Duration),
    /// When the store changes: in the middle of a seal.
    Sealing,
}

impl Moment {
    /// The moment of the kill with this number. A seal happens after 10 s or 50,000 rows; three of those are enough to
    /// wait for.
    fn drawn(number: usize, dice: &mut Dice) -> Self {
        match number % 7 {
            6 => Self::Sealing,
            1 | 4 => Self::Started(Duration::from_millis(dice.below(400))),
            _ => Self::Acks(dice.below(6_000)),
        }
    }

    fn wait(&self, site: &Site, hubs: &Hubs, mut daemon: Daemon) -> Daemon {
        match self {
            Self::Started(since) => {
                let started = Deadline::after(*since);
                while !started.is_over() {
                    if !hubs.have_an_address() && daemon.has_listened() {
                        hubs.speak_to(Some(daemon.ingress()));
                    }
                    look_again();
                }
                daemon
            }
            Self::Acks(more) => {
                let daemon = listen(hubs, daemon);
                let wanted = hubs.acked() + more;
                let come = within(STEP_WITHIN, || (hubs.acked() >= wanted).then_some(()));
                come.unwrap_or_else(|| panic!("no {more} PUBACKs within {STEP_WITHIN:?}: {}", daemon.log()));
                daemon
            }
            Self::Sealing => {
                let daemon = listen(hubs, daemon);
                let before = sealed_files(site);
                let changed = within(STEP_WITHIN, || (sealed_files(site) != before).then_some(()));
                changed.unwrap_or_else(|| panic!("nothing was sealed within {STEP_WITHIN:?}: {}", daemon.log()));
                daemon
            }
        }
    }
}

fn listen(hubs: &Hubs, daemon: Daemon) -> Daemon {
    let daemon = daemon.listening();
    hubs.speak_to(Some(daemon.ingress()));
    daemon
}

/// How many files the store and the snapshots have: one more in the middle of a seal, before its checkpoint.
fn sealed_files(site: &Site) -> usize {
    files(&site.state().join("parquet")) + files(&site.state().join("snapshots"))
}

fn files(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let entries = entries.filter_map(Result::ok);
    entries.map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

/// Kills a daemon under load so many times, ends the last one cleanly, and returns the acknowledged records and those
/// in the store.
struct Run {
    site: Site,
    hubs: Hubs,
    dice: Dice,
    unsafe_ack: bool,
}

impl Run {
    fn new(seed: u64, unsafe_ack: bool) -> Self {
        let hubs = Hubs::start(Load { seed, ..LOAD });
        Self { site: Site::with_ingress(), hubs, dice: Dice(seed), unsafe_ack }
    }

    fn spawn(&self) -> Daemon {
        let mut command = self.site.zenei(&["run"]);
        if self.unsafe_ack {
            command.env("ZENEI_UNSAFE_ACK_BEFORE_WRITE", "1");
        }
        self.site.spawn(&mut command)
    }

    fn kill(&mut self, number: usize) {
        let daemon = self.spawn();
        let moment = Moment::drawn(number, &mut self.dice);
        let daemon = moment.wait(&self.site, &self.hubs, daemon);
        daemon.kill9();
        self.hubs.speak_to(None);
    }

    /// The last daemon, once all sent records are acknowledged; and the acknowledged records, counted.
    fn settle(self) -> (Site, Daemon, BTreeMap<Key, u64>) {
        let daemon = listen(&self.hubs, self.spawn());
        let acked = hub::keys(&self.hubs.settle());
        (self.site, daemon, acked)
    }
}

fn all_listed(site: &Site) -> BTreeMap<Key, u64> {
    listed(&succeed(&mut site.zenei(&["record", "list", "--json"])))
}

#[test]
fn kills_under_load_lose_and_double_no_acknowledged_record() {
    let asked = std::env::var("ZENEI_KILLS").ok();
    let kills = asked.map_or(KILLS, |text| text.parse().unwrap_or_else(|error| panic!("{text}: {error}")));
    let mut run = Run::new(1, false);
    (0..kills).for_each(|number| run.kill(number));
    let (site, daemon, acked) = run.settle();
    assert!(acked.len() > kills * 500, "only {} records: that was no load", acked.len());
    let expected = acked.len() as u64;
    let taken = within(STEP_WITHIN, || {
        let metrics = daemon.metrics();
        metrics.assert_adds_up();
        (metrics.received() - metrics.duplicate() == expected).then_some(metrics)
    });
    let metrics = taken.unwrap_or_else(|| panic!("{expected} records are not taken: {:?}", daemon.metrics()));
    // `record list` leaves duplicates out, so records stored twice show here and not there.
    assert_eq!(metrics.stored() + metrics.pending(), expected, "{metrics:?}");
    assert_eq!((metrics.dead(), metrics.dropped()), (0, 0), "{metrics:?}");
    assert_eq!(metrics.value(r#"zenei_received_total{source="ingress"}"#), metrics.received());
    daemon.end_cleanly();
    let found = all_listed(&site);
    assert_eq!(difference(&acked, &found), "");
    println!("{kills} kills, {} records acknowledged, 0 lost, 0 doubled", acked.len());
}

#[test]
fn an_acknowledgement_before_the_write_is_seen_to_lose() {
    let mut run = Run::new(2, true);
    // Each kill under load loses acknowledged records that are not yet written; the seals are irrelevant here.
    for number in 0..KILLS {
        run.kill(2 * (number % 2));
    }
    let (site, daemon, acked) = run.settle();
    daemon.end_cleanly();
    let found = all_listed(&site);
    let lost = acked.keys().filter(|key| !found.contains_key(key)).count();
    assert!(lost > 0, "{KILLS} kills lost none of {} records: this test would not see a loss", acked.len());
    println!("acknowledged before the write, {lost} of {} records were lost", acked.len());
}
