//! V4 ポストモーテム実施率: of the incidents that got their temporary fix in a month, how many had their postmortem within
//! two weeks? Must not know events. Called by the desk's HTTP API.
use super::case::Case;
use super::month::Month;
use super::share::Share;
use crate::event::Verdict;
use serde::Serialize;
use zenei_wire::EngineTime;

/// Within this time after the temporary fix a postmortem counts, ms: 14 days, as the field's figure is defined.
pub const WITHIN_MS: i64 = 14 * 86_400_000;

/// The incidents whose temporary fix was done in one month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PostmortemMonth {
    /// The month of the temporary fix.
    pub month: Month,
    /// Of those whose fix is at least [`WITHIN_MS`] old, how many had their postmortem within it.
    pub held: Share,
    /// Those that are younger, and don't count yet.
    pub immature: u64,
}

/// The figure over the month of `now` and `months - 1` before it, oldest first. False positives don't count.
pub fn postmortem_rate<'a>(
    cases: impl IntoIterator<Item = Case<'a>>,
    months: u32,
    now: EngineTime,
) -> Vec<PostmortemMonth> {
    let empty = |month| PostmortemMonth { month, held: Share::default(), immature: 0 };
    let mut found: Vec<PostmortemMonth> = Month::up_to(now, months).into_iter().map(empty).collect();
    for case in cases {
        let Some(fixed) = case.temp_fixed else { continue };
        let month = Month::of_ms(fixed.ms());
        let Some(of) = found.iter_mut().find(|of| of.month == month) else { continue };
        if case.incident.verdict == Some(Verdict::FalsePositive) {
            continue;
        }
        let since_fix = |at: EngineTime| at.ms().saturating_sub(fixed.ms());
        if since_fix(now) < WITHIN_MS {
            of.immature += 1;
        } else {
            of.held.count(case.incident.postmortem_held.is_some_and(|held| since_fix(held) <= WITHIN_MS));
        }
    }
    found
}
