//! Which gateways are silent as a whole? Hour by hour: how long no lock was heard through a gateway, against how long
//! that usually is (its 99th percentile of the hours). Many locks speak at many minutes, so that a gateway is hardly
//! ever quiet for long, however rarely each of them speaks; what none says tells more than what each leaves out.
//! A gateway that reports of itself, and has stopped or says that it hears no lock, is known sooner. Time in which
//! nobody at all was heard does not count: what is lost on the way from all gateways accuses none. Must not know locks
//! or rules. Called by `silence`.
use crate::detect::report::{self, Seen};
use crate::estimate::high::High;
use crate::fleet::{DeviceIx, Fleet, Sym};
use crate::time::{HOUR_MS, MINUTE_MS};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Hours of observation from which on the usual quiet of a gateway is known: a week holds every weekday's habit.
const KNOWN_H: u32 = 7 * 24;
/// Reports from which on a gateway's own interval is known. A guess: two days of hourly reports.
const KNOWN_REPORTS: u32 = 48;
/// A gateway is silent after so many times its usual quiet. Where its locks speak at random the usual quiet is 4.6
/// times the mean interval, and chance exceeds it so far in one hour of 100,000, one gateway in eleven once a year.
const TIMES: f64 = 2.5;
/// Where most gateways are quiet for so many times their usual quiet, all have one cause. A guess, as for a late lock.
const LONGER: f64 = 1.25;
/// A gateway is never silent before so long: a restart of a hub or a router takes minutes, an update an hour or so. A
/// guess.
const LEAST_MS: i64 = 90 * MINUTE_MS;
/// Where its locks were updated lately their habit may be another; after so long, ms, it is silent nevertheless: a
/// quarter beyond the contract's slowest heartbeat (6 h).
const FRESH_MS: f64 = (450 * MINUTE_MS) as f64;
/// Where most of the gateways that reported within so long report no more, it is not they that are gone. A guess: a
/// week holds a release of all, and a gateway that was taken away is forgotten after it.
const REPORTED_MS: i64 = 7 * 24 * HOUR_MS;
/// One report in so many may say that the gateway hears no lock without that being its habit. A guess.
const DEAF_RARE: u32 = 20;

/// What is known of all gateways.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Quiet {
    hubs: BTreeMap<Sym, Hub>,
    reports: BTreeMap<DeviceIx, Reports>,
}

/// What a gateway reports of itself.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Reports {
    last_ms: i64,
    usual: High,
    /// Whether the last one says that it hears no lock, and how many of those before did.
    is_deaf: bool,
    deaf: u32,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Hub {
    usual: High,
}

/// The locks behind a gateway at the end of an hour.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Behind {
    /// Locks whose habit is known.
    pub(super) locks: u32,
    /// Of these, such as were updated lately.
    pub(super) fresh: u32,
    /// When the last of all locks was heard.
    pub(super) heard_ms: i64,
}

/// A gateway that is silent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Silent {
    /// How many locks are behind it.
    locks: u32,
    /// Since when, ms.
    since_ms: i64,
    /// For how long, and for how long it usually is at most, ms.
    quiet_ms: i64,
    usual_ms: f64,
    /// The shortest silence that is a finding, ms.
    limit_ms: f64,
    /// When it last reported of itself, ms, where it has stopped to.
    reported_ms: Option<i64>,
    /// Why it is not told, where most gateways do the same.
    pub(super) common: Option<&'static str>,
}

impl Silent {
    /// What a finding says of the gateway of this name.
    pub(super) fn seen(&self, name: &str) -> Seen<'static> {
        let hours = |ms: f64| ms / HOUR_MS as f64;
        let quiet_h = hours(self.quiet_ms as f64);
        Seen {
            value: quiet_h,
            baseline: hours(self.usual_ms),
            threshold: hours(self.limit_ms),
            unit: "h",
            since_ms: self.since_ms,
            confidence: report::confidence(quiet_h, hours(self.limit_ms)),
            why: format!(
                "none of the {} locks behind gateway {name} was heard for {quiet_h:.1} h, while others were; {}",
                self.locks,
                self.against(),
            ),
        }
    }

    /// What shows that it is silent.
    fn against(&self) -> String {
        let hours = |ms: f64| ms / HOUR_MS as f64;
        match self.reported_ms {
            Some(at_ms) => {
                let since_ms = self.since_ms + self.quiet_ms - at_ms;
                format!("its own reports stopped {:.1} h ago", hours(since_ms as f64))
            }
            None => format!("it is hardly ever quiet for {:.1} h", hours(self.usual_ms)),
        }
    }
}

impl Quiet {
    /// Takes a gateway's report about itself, and how many locks it says that it hears.
    pub(super) fn report(&mut self, device: DeviceIx, at_ms: i64, locks_heard: Option<u32>) {
        let reports = self.reports.entry(device).or_insert(Reports { last_ms: at_ms, ..Reports::default() });
        if at_ms - reports.last_ms > MINUTE_MS {
            reports.usual.add((at_ms - reports.last_ms) as f64);
            reports.deaf += u32::from(reports.is_deaf);
        }
        reports.last_ms = at_ms.max(reports.last_ms);
        reports.is_deaf = locks_heard == Some(0);
    }

    /// Ends an hour: the gateways that are silent, of those with at least so many locks or with reports of their own.
    /// What most do at once no gateway does: where most are quiet for longer than usual none is told, and where the
    /// reports of most have stopped none is for that.
    pub(super) fn close(&mut self, behind: &BTreeMap<Sym, Behind>, locks: u32, fleet: &Fleet) -> BTreeMap<Sym, Silent> {
        let latest_ms = behind.values().map(|of| of.heard_ms).max().unwrap_or(0);
        let tell = self.reports_tell(latest_ms);
        let named = |(&device, &report)| Some((fleet.find_word(fleet.device_id(device))?, report));
        let reports: BTreeMap<Sym, Reports> = self.reports.iter().filter_map(named).collect();
        self.hubs.retain(|gw, _| behind.contains_key(gw));
        let (mut silent, mut longer) = (BTreeMap::new(), 0);
        for (&gw, of) in behind {
            let hub = self.hubs.entry(gw).or_default();
            let quiet_ms = latest_ms - of.heard_ms;
            longer += usize::from(quiet_ms as f64 > LONGER * hub.usual.get());
            let report = reports.get(&gw);
            let gone = report.filter(|report| report.is_gone(of.heard_ms, latest_ms));
            let is_deaf = report.is_some_and(Reports::is_deaf);
            let found = hub.silent(of, quiet_ms, locks, gone.filter(|_| tell), is_deaf);
            let by_report = gone.filter(|_| !tell && found.is_none());
            // What is no habit teaches none.
            if found.is_none() {
                hub.usual.add(quiet_ms.max(MINUTE_MS) as f64);
            }
            let common = Some("most gateways have stopped to report");
            let spared = by_report.and_then(|gone| hub.silent(of, quiet_ms, locks, Some(gone), is_deaf));
            let found = found.or(spared.map(|spared| Silent { common, ..spared }));
            silent.extend(found.map(|found| (gw, found)));
        }
        if 2 * longer > behind.len() {
            let common = "most gateways are quiet for longer than usual at the same time";
            silent.values_mut().for_each(|found: &mut Silent| found.common = Some(common));
        }
        silent
    }

    /// Whether reports tell gateways that are gone from others: not where most have stopped.
    fn reports_tell(&self, now_ms: i64) -> bool {
        let lately = self.reports.values().filter(|of| of.is_known() && now_ms - of.last_ms < REPORTED_MS);
        let (all, over) = lately.fold((0, 0), |(all, over), of| (all + 1, over + usize::from(of.is_over(now_ms))));
        2 * over <= all
    }
}

impl Reports {
    fn is_known(&self) -> bool {
        self.usual.count() >= KNOWN_REPORTS
    }

    /// Whether the gateway has stopped to report.
    fn is_over(&self, now_ms: i64) -> bool {
        let is_over = (now_ms - self.last_ms) as f64 >= (LEAST_MS as f64).max(TIMES * self.usual.get());
        self.is_known() && is_over
    }

    /// Whether it has stopped to report, and no lock was heard through it since.
    fn is_gone(&self, heard_ms: i64, now_ms: i64) -> bool {
        self.is_over(now_ms) && heard_ms <= self.last_ms + self.usual.get() as i64
    }

    /// Whether it says against its habit that it hears no lock.
    fn is_deaf(&self) -> bool {
        let is_rare = DEAF_RARE * self.deaf < self.usual.count();
        self.is_known() && self.is_deaf && is_rare
    }
}

impl Hub {
    /// Whether it is silent; `gone` is its last report, where it is known to have stopped to report.
    fn silent(&self, of: &Behind, quiet_ms: i64, locks: u32, gone: Option<&Reports>, is_deaf: bool) -> Option<Silent> {
        let is_known = self.usual.count() >= KNOWN_H;
        let usual_ms = self.usual.get();
        // Those that were updated lately may speak more rarely from now on; the others speak as ever.
        let rarer = f64::from(of.locks) / f64::from(of.locks - of.fresh);
        let by_locks = (is_known && of.locks >= locks).then(|| (LEAST_MS as f64).max(TIMES * usual_ms * rarer));
        // Where its own reports have stopped and nothing came through it since, its locks need not be late as well.
        let by_itself = match gone {
            Some(_) => Some(LEAST_MS as f64),
            None => (is_known && is_deaf).then(|| (LEAST_MS as f64).max(usual_ms * rarer)),
        };
        let limit_ms = by_locks.into_iter().chain(by_itself).reduce(f64::min)?.min(FRESH_MS.max(TIMES * usual_ms));
        (quiet_ms as f64 >= limit_ms).then_some(Silent {
            locks: of.locks,
            since_ms: of.heard_ms,
            quiet_ms,
            usual_ms,
            limit_ms,
            reported_ms: gone.map(|reports| reports.last_ms),
            common: None,
        })
    }
}
