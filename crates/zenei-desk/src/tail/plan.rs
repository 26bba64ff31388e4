//! Which records does the next step take? All records received up to the time up to which every gateway has shipped
//! completely, so that records are taken in the order of receipt over all gateways, in whatever order their shipments
//! arrive. Pure: must not know a server or a clock. Called by the tail before each step.
//!
//! A gateway's shipment that ends at time T contains every record received up to T less [`HOLE_WAIT_MS`]: a record
//! waits at most that long at a hole in the sequence numbers. A step goes up to the least of these times over all
//! gateways. A gateway that has reported nothing for [`SILENT_AFTER`] no longer counts, nor does one that is further
//! behind than the records already taken: its later shipments are taken when they arrive, like a lock's backlog. When
//! all gateways are silent, the step goes up to the greatest of their times.
use std::collections::BTreeMap;
use std::time::Duration;
use zenei_detect::intake::HOLE_WAIT_MS;
use zenei_store::clickhouse::GatewayProgress;
use zenei_store::control::{Moved, TailStep, Tailed};
use zenei_wire::EngineTime;

/// How long the other gateways wait for one that reports nothing; a gateway that receives nothing reports that every
/// half minute. A guess: longer than the restart of a machine, short compared with the hours by which an incident
/// should precede a customer's notice.
pub const SILENT_AFTER: Duration = Duration::from_secs(300);

/// The next step, before it is cut to size: the shipments reported so far, and how far they let time advance. `quiet`
/// returns for how long a gateway has reported nothing. Of shipments that come late, not much more than `behind_rows`
/// records are taken at once.
pub(super) fn plan(
    tailed: &Tailed,
    told: &[GatewayProgress],
    quiet: impl Fn(&str) -> Duration,
    behind_rows: u64,
) -> TailStep {
    let moved = moved(tailed, told, behind_rows);
    let mut after = tailed.clone();
    after.take(&TailStep { up_to: None, moved: moved.clone() });
    let complete = |gateway: &str| after.gateways.get(gateway).map(|to| to.advanced_to.plus_ms(-HOLE_WAIT_MS));
    let is_silent = |gateway: &str| quiet(gateway) >= SILENT_AFTER;
    let all = || after.gateways.keys().map(String::as_str);
    let counts = |gateway: &&str| !is_silent(gateway) && complete(gateway) >= tailed.up_to;
    let mut up_to = all().filter(counts).filter_map(complete).min();
    if all().all(is_silent) {
        // No gateway is waited for any more.
        up_to = all().filter_map(complete).max();
    }
    TailStep { up_to: tailed.up_to.max(up_to), moved }
}

/// The step, bounded by this time.
pub(super) fn cut(step: TailStep, tailed: &Tailed, up_to: EngineTime) -> TailStep {
    TailStep { up_to: tailed.up_to.max(Some(up_to)), ..step }
}

/// Whether a step would take nothing and not advance time.
pub(super) fn is_idle(step: &TailStep, tailed: &Tailed) -> bool {
    step.moved.is_empty() && step.up_to <= tailed.up_to
}

fn moved(tailed: &Tailed, told: &[GatewayProgress], behind_rows: u64) -> BTreeMap<String, Moved> {
    let mut moved: BTreeMap<String, Moved> = BTreeMap::new();
    let (mut behind, mut full) = (0, Vec::new());
    for GatewayProgress { gateway, to, rows, heard_from } in told {
        if full.contains(&gateway) {
            continue;
        }
        let is_behind = tailed.up_to.is_some_and(|up_to| heard_from.ms() <= up_to.ms());
        if is_behind && *rows > 0 {
            if behind > 0 && behind + rows > behind_rows {
                full.push(gateway);
                continue;
            }
            behind += rows;
        }
        let earliest = moved.get(gateway).map_or(*heard_from, |moved| moved.heard_from.min(*heard_from));
        moved.insert(gateway.clone(), Moved { to: *to, heard_from: earliest });
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_store::Sealed;
    use zenei_wire::GatewayTime;

    const MINUTE_MS: i64 = 60_000;

    fn place(offset: u64, minute: i64) -> Sealed {
        Sealed { offset, advanced_to: EngineTime(minute * MINUTE_MS) }
    }

    fn told(gateway: &str, offset: u64, minute: i64, heard_minute: i64, rows: u64) -> GatewayProgress {
        let heard_from = GatewayTime(heard_minute * MINUTE_MS);
        GatewayProgress { gateway: gateway.into(), to: place(offset, minute), rows, heard_from }
    }

    fn tailed(up_to_minute: i64, gateways: &[(&str, i64)]) -> Tailed {
        let gateways = gateways.iter().map(|(name, minute)| ((*name).to_owned(), place(1, *minute))).collect();
        Tailed { up_to: Some(EngineTime(up_to_minute * MINUTE_MS)), gateways }
    }

    fn minute(step: &TailStep) -> Option<i64> {
        step.up_to.map(|at| at.ms() / MINUTE_MS)
    }

    fn talking(_: &str) -> Duration {
        Duration::ZERO
    }

    #[test]
    fn a_step_goes_as_far_as_the_slowest_gateway_has_shipped_everything() {
        let all = [told("a", 5, 30, 10, 3), told("b", 9, 20, 10, 3)];
        let step = plan(&Tailed::default(), &all, talking, 100);
        assert_eq!((minute(&step), step.moved.len()), (Some(18), 2), "two minutes may have been waited at a hole");
        let step = plan(&tailed(18, &[("a", 30), ("b", 20)]), &[told("b", 10, 25, 21, 1)], talking, 100);
        assert_eq!(minute(&step), Some(23));
        assert!(is_idle(&plan(&tailed(18, &[("a", 30), ("b", 20)]), &[], talking, 100), &tailed(18, &[])));
        assert!(is_idle(&plan(&Tailed::default(), &[], talking, 100), &Tailed::default()));
    }

    #[test]
    fn a_silent_gateway_holds_the_others_back_for_a_while_only() {
        let quiet = |gateway: &str| if gateway == "b" { SILENT_AFTER } else { Duration::ZERO };
        let known = tailed(18, &[("a", 30), ("b", 20)]);
        assert_eq!(minute(&plan(&known, &[], quiet, 100)), Some(28));
        // It comes back: it is behind, and no gateway waits until it has caught up.
        let known = tailed(28, &[("a", 40), ("b", 20)]);
        let step = plan(&known, &[told("b", 7, 25, 20, 5)], talking, 100);
        assert_eq!((minute(&step), step.moved.len()), (Some(38), 1));
        let step = plan(&tailed(38, &[("a", 50), ("b", 25)]), &[told("b", 8, 45, 25, 5)], talking, 100);
        assert_eq!(minute(&step), Some(43), "it has caught up and counts again");
        let silent = |_: &str| SILENT_AFTER;
        assert_eq!(minute(&plan(&tailed(18, &[("a", 30), ("b", 20)]), &[], silent, 100)), Some(28));
    }

    #[test]
    fn a_backlog_is_taken_in_portions_and_something_of_it_always() {
        let known = tailed(100, &[("a", 102), ("b", 10)]);
        let backlog =
            [told("a", 2, 103, 102, 9), told("b", 2, 20, 10, 80), told("b", 3, 30, 20, 80), told("b", 4, 31, 31, 0)];
        let step = plan(&known, &backlog, talking, 100);
        assert_eq!((step.moved["b"].to, step.moved["b"].heard_from), (place(2, 20), GatewayTime(10 * MINUTE_MS)));
        assert_eq!(minute(&step), Some(101));
        let large = plan(&known, &[told("b", 2, 20, 10, 5_000)], talking, 100);
        assert_eq!(large.moved["b"].to, place(2, 20));
    }

    #[test]
    fn a_gateway_that_has_only_said_that_it_is_there_is_waited_for() {
        let step = plan(&Tailed::default(), &[told("a", 5, 30, 10, 3), told("b", 0, 0, 0, 0)], talking, 100);
        assert_eq!(minute(&step), Some(-2));
    }
}
