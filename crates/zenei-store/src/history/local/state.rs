//! What the fold remembers of a lock beside its row: so that the next range goes on where the last one ended. Pure.
//! Must not know SQL. Called by the fold.
use crate::history::due::{DAY_MS, Track};
use crate::history::types::PROFILES_MAX;
use serde::{Deserialize, Serialize};
use zenei_detect::{Heard, RestVoltage};
use zenei_wire::{Body, EventKind, Millivolts, Op, Text};

/// How many (dimension, value) a lock is remembered to be counted in, within a bucket: more than labels it can have.
const COUNTED_MAX: usize = 32;
/// For how many days errors are counted by day.
const ERROR_DAYS: i64 = 7;
/// How long a profile is shown, ms: as long as ClickHouse keeps them.
const PROFILE_MS: i64 = 30 * DAY_MS;

/// How long buckets stay, ms: as long as ClickHouse keeps records. A guess: a season is compared with the last one.
pub(super) const KEEP_MS: i64 = 400 * DAY_MS;

/// When a battery is due, in ms since 1970: early, likely, late (`None`: no end).
pub(super) type DueMs = (i64, i64, Option<i64>);

/// What is remembered of a lock.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct LockState {
    /// Time of hearing, offset and index of the newest record.
    pub(super) newest: (i64, u64, u16),
    /// A source that may speak for the lock has been heard: from then on others change nothing.
    pub(super) proven: bool,
    pub(super) track: Track,
    /// The newest temperature, hundredths of °C, with its time: advertisements and heartbeats do not always have both.
    pub(super) temp: Option<i16>,
    rest: Option<RestVoltage>,
    /// Errors by the day of hearing, ascending; at most [`ERROR_DAYS`].
    errors: Vec<(i64, u64)>,
    counted_in: i64,
    counted: Vec<(u8, u32)>,
    /// The last bucket that old ones were removed for.
    pub(super) swept: i64,
}

impl LockState {
    /// Takes a record's effect on the battery at rest; for an operation it returns the voltage before it. The rules are
    /// the shipper's, so that both stores have the same resistance.
    pub(super) fn rest(&mut self, heard: &Heard<'_>, late: bool) -> Option<Millivolts> {
        if late {
            return None;
        }
        let ts = heard.record.ts.ms();
        match &heard.record.body {
            Body::Op(_) => return self.rest?.at(ts),
            Body::State(state) => self.rest.get_or_insert_default().heartbeat(state.battery_mv, ts),
            // Anyone can advertise in a lock's name.
            Body::Adv(adv) if heard.authenticated => {
                self.rest.get_or_insert_default().advertised(adv.battery_mv, ts);
            }
            Body::Event(event) => match event.event {
                EventKind::BatteryReplaced | EventKind::Installed => {
                    self.rest = None;
                    self.track.replaced();
                }
                EventKind::OtaStarted
                | EventKind::OtaDone
                | EventKind::Moved
                | EventKind::MaintenanceStart
                | EventKind::MaintenanceEnd => {}
            },
            Body::Error(_) | Body::Gateway(_) | Body::Adv(_) => {}
        }
        None
    }

    /// Counts errors; the sum of the seven days up to the newest one is [`LockState::errors_7d`].
    pub(super) fn error(&mut self, heard_ms: i64, count: u32) {
        let day = heard_ms.div_euclid(DAY_MS);
        match self.errors.binary_search_by_key(&day, |&(day, _)| day) {
            Ok(at) => self.errors[at].1 = self.errors[at].1.saturating_add(count.into()),
            Err(at) => self.errors.insert(at, (day, count.into())),
        }
    }

    /// The errors of the seven days up to that of the newest record.
    pub(super) fn errors_7d(&mut self) -> u64 {
        let from = self.newest.0.div_euclid(DAY_MS) - ERROR_DAYS;
        self.errors.retain(|&(day, _)| day > from);
        self.errors.iter().fold(0, |sum, &(_, count)| sum.saturating_add(count))
    }

    /// Whether the lock counts among the locks of a cohort's bucket: the first time that it is seen there.
    pub(super) fn counts(&mut self, bucket: i64, dimension: u8, value: u32) -> bool {
        if bucket < self.counted_in {
            return false;
        }
        if bucket > self.counted_in {
            self.counted_in = bucket;
            self.counted.clear();
        }
        let is_new = !self.counted.contains(&(dimension, value)) && self.counted.len() < COUNTED_MAX;
        if is_new {
            self.counted.push((dimension, value));
        }
        is_new
    }
}

/// A motor profile as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptProfile {
    pub(super) at_ms: i64,
    /// Its place in the order of hearing.
    place: (i64, u64, u16),
    pub(super) kind: String,
    pub(super) result: String,
    pub(super) current_ma: Vec<u16>,
    pub(super) step_ms: u16,
}

/// Takes an operation's profile, where it has one; the newest are kept, the newest first.
pub(super) fn keep_profile(kept: &mut Vec<KeptProfile>, op: &Op, at_ms: i64, place: (i64, u64, u16)) {
    let Some(current_ma) = op.current_ma.as_ref().map(|profile| profile.samples().to_vec()) else { return };
    let at = kept.partition_point(|kept| kept.place > place);
    let step_ms = op.sample_ms.unwrap_or(0);
    let (kind, result) = (op.op.as_str().to_owned(), op.result.as_str().to_owned());
    kept.insert(at, KeptProfile { at_ms, place, kind, result, current_ma, step_ms });
    kept.truncate(PROFILES_MAX);
    let from = kept.first().map_or(0, |newest| newest.place.0.saturating_sub(PROFILE_MS));
    kept.retain(|kept| kept.place.0 >= from);
}

/// A label that says something.
pub(super) fn said<'a>(label: Option<&'a Text<'_>>) -> Option<&'a str> {
    label.map(|label| &**label).filter(|label| !label.is_empty())
}
