//! When which faults of a random lock begin, and what the locks of a stream have in common. Called by `locks`.

use zenei_kit::Dice;

/// When a fault of a lock begins, in days; most locks have none.
fn trouble(dice: &mut Dice) -> f64 {
    if dice.is(0.3) { 6.0 + 12.0 * dice.uniform() } else { f64::INFINITY }
}

/// What all locks of a stream have in common.
#[derive(Clone, Copy)]
pub(super) struct Common {
    /// Whether the new version is faulty; in some streams on one board alone.
    pub(super) buggy: bool,
    pub(super) buggy_board: bool,
    /// Whether it drains the battery faster.
    pub(super) hungry: bool,
    /// Whether a lock invents error codes.
    pub(super) babbles: bool,
    /// The day from which on the cloud is unreachable for about half a day.
    pub(super) cloud_away: f64,
    /// The day from which on no records arrive for some days.
    pub(super) dark: f64,
    /// The day from which on no records arrive through one of two gateways for some days.
    pub(super) gateway_away: f64,
}

impl Common {
    pub(super) fn draw(dice: &mut Dice) -> Self {
        Self {
            buggy: dice.is(0.6),
            buggy_board: dice.is(0.3),
            hungry: dice.is(0.3),
            babbles: dice.is(0.3),
            cloud_away: if dice.is(0.6) { 3.0 + 20.0 * dice.uniform() } else { f64::INFINITY },
            dark: if dice.is(0.4) { 4.0 + 14.0 * dice.uniform() } else { f64::INFINITY },
            gateway_away: if dice.is(0.4) { 9.0 + 12.0 * dice.uniform() } else { f64::INFINITY },
        }
    }

    pub(super) fn is_cloud_away(&self, day: f64) -> bool {
        (self.cloud_away..self.cloud_away + 0.4).contains(&day)
    }

    pub(super) fn is_dark(&self, at: usize, day: f64) -> bool {
        let is_away = at.is_multiple_of(2) && (self.gateway_away..self.gateway_away + 3.0).contains(&day);
        is_away || (self.dark..self.dark + 2.6).contains(&day)
    }
}

/// The faults of a lock: when each of them begins.
pub(super) struct Character {
    pub(super) rubs: f64,
    pub(super) ages: f64,
    pub(super) wears: f64,
    pub(super) jams: f64,
    pub(super) restarts: f64,
    pub(super) leaks: f64,
    pub(super) drains: f64,
    pub(super) errs: f64,
    pub(super) clock: f64,
    pub(super) clock_ms: i64,
    pub(super) loses: f64,
    pub(super) falls_silent: f64,
    pub(super) lacks_field: f64,
    pub(super) unreadable: f64,
    pub(super) updated: f64,
    pub(super) updated_again: f64,
    pub(super) rolled_back: f64,
    /// When the lock gets another battery, moves to another door, or is replaced under its id.
    pub(super) battery: f64,
    pub(super) refreshed: f64,
    pub(super) door: f64,
    pub(super) replaced: f64,
}

/// Whether an intermittent fault is present: five days of eight.
pub(super) fn comes_and_goes(since: f64, day: f64) -> bool {
    day >= since && (day - since) % 8.0 < 5.0
}

impl Character {
    pub(super) fn draw(dice: &mut Dice) -> Self {
        Self {
            rubs: trouble(dice),
            ages: trouble(dice),
            wears: trouble(dice),
            jams: trouble(dice),
            restarts: trouble(dice),
            leaks: trouble(dice),
            drains: trouble(dice),
            errs: if dice.is(0.6) { trouble(dice) } else { f64::INFINITY },
            clock: trouble(dice),
            clock_ms: if dice.is(0.5) { 1_200_000 } else { -900_000 },
            loses: trouble(dice),
            falls_silent: trouble(dice),
            lacks_field: trouble(dice),
            unreadable: trouble(dice),
            updated: if dice.is(0.5) { 2.0 + 6.0 * dice.uniform() } else { f64::INFINITY },
            updated_again: if dice.is(0.3) { 11.0 + 4.0 * dice.uniform() } else { f64::INFINITY },
            refreshed: trouble(dice) + 3.0,
            battery: trouble(dice) + 4.0,
            door: trouble(dice) + 4.0,
            replaced: trouble(dice) + 4.0,
            rolled_back: if dice.is(0.7) { 19.0 + 3.0 * dice.uniform() } else { f64::INFINITY },
        }
    }

    /// The step in which the version samples a current.
    pub(super) fn sample_ms(&self, day: f64) -> u16 {
        match self.fw(day) {
            "2.1" => 39,
            "2.0" => 41,
            _ => 40,
        }
    }

    pub(super) fn fw(&self, day: f64) -> &'static str {
        match day {
            // Back to the version before.
            _ if day >= self.rolled_back && self.updated_again.is_finite() => "2.0",
            _ if day >= self.updated_again => "2.1",
            _ if day >= self.updated => "2.0",
            _ => "1.9",
        }
    }
}
