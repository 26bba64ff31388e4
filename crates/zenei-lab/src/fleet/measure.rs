//! From faults and the incidents about them to the fleet benchmark's measures. Pure. Called by `fleet`, `report`,
//! `cards` and `falsely`.
//!
//! A fault that can't be detected in time counts against the raw measures and not against those "of the detectable":
//! - before the customer: raw is over every fault with a customer; of the detectable are those whose `detectable` comes
//!   before the customer;
//! - within 48 h of detectable: raw is over every fault; of the detectable are those with a `detectable` at least 48 h
//!   before the end of the run.
//!
//! Delay, lead, lead share and attribution are of the faults that were found, by their first incident.
use super::matching::{JudgedFault, Matched};
use super::play::Played;
use crate::interval::{Share, median, quantile};
use serde::Serialize;

const HOUR_MS: f64 = 3_600_000.0;
const DAY_MS: f64 = 24.0 * HOUR_MS;
/// How long after `detectable` a fault must be found, where the customer may come first.
const SOON_MS: i64 = 48 * 3_600_000;

/// Families that must be found before the customer.
pub const BEFORE_CUSTOMER: [&str; 7] = ["H1", "H2", "H4", "H5", "H6", "H8", "F4"];
/// Families of one lock or version whose customer may come first: they must be found within 48 h of detectable.
pub const SOON: [&str; 5] = ["H3", "F2", "S4", "S5", "S6"];
/// Families that only a whole fleet shows.
pub const SHARED: [&str; 6] = ["F1", "F3", "F5", "S1", "S2", "S3"];

/// One run and its incidents, matched to the true faults.
#[derive(Debug)]
pub struct Run<'a> {
    /// The fleet's seed.
    pub seed: u64,
    /// The seed of the changed physics; `None` for the scenario's own.
    pub world: Option<u64>,
    /// The result of the run.
    pub played: &'a Played,
    /// Its incidents, assigned to the faults.
    pub matched: Matched<'a>,
}

impl<'a> Run<'a> {
    /// Matches a run's incidents.
    pub fn of(seed: u64, world: Option<u64>, played: &'a Played) -> Self {
        Self { seed, world, played, matched: Matched::of(&played.truth, &played.incidents) }
    }

    /// Locks times years.
    pub fn device_years(&self) -> f64 {
        let (start_ms, end_ms) = self.played.span_ms;
        self.played.locks as f64 * (end_ms - start_ms) as f64 / DAY_MS / 365.25
    }
}

/// The measures of a family, or of several together.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Measures {
    /// How many faults were found at all.
    pub found: Share,
    /// The same of those that are detectable 48 h before the end of the run.
    pub found_detectable: Share,
    /// Found before the customer, of all with a customer.
    pub before_customer: Share,
    /// The same of those that are detectable before the customer.
    pub before_customer_detectable: Share,
    /// Found within 48 h of detectable, of all.
    pub within_48h: Share,
    /// The same of those that are detectable 48 h before the end of the run.
    pub within_48h_detectable: Share,
    /// From detectable to found, hours: median and 90 % quantile.
    pub delay_h: Option<(f64, f64)>,
    /// From found to the customer, days: median and 10 % quantile.
    pub lead_d: Option<(f64, f64)>,
    /// Median of (customer − found)/(customer − detectable), where detectable comes before the customer.
    pub lead_share: Option<f64>,
    /// Of the found, those with the right domain.
    pub domain: Share,
    /// Of the found, those with the right scope.
    pub scope: Share,
    /// Of the found, those with the right part.
    pub component: Share,
    /// Of the found, those with one incident, of the right scope.
    pub single: Share,
    /// Incidents for each found fault.
    pub incidents_per_cause: Option<f64>,
}

impl Measures {
    /// The measures of these families over all runs.
    pub fn of(runs: &[Run<'_>], families: &[&str]) -> Self {
        let cases = runs.iter().flat_map(|run| run.matched.cases.iter().map(|case| (case, run.played.span_ms.1)));
        let cases: Vec<_> = cases.filter(|(case, _)| families.contains(&case.truth.family.as_str())).collect();
        Self::measure(&cases)
    }

    fn measure(cases: &[(&JudgedFault<'_>, i64)]) -> Self {
        let customers = || cases.iter().filter(|(case, _)| case.truth.customer_ms.is_some());
        let told =
            |case: &JudgedFault<'_>| case.truth.detectable_ms.zip(case.truth.customer_ms).is_some_and(|(d, c)| d < c);
        let in_time =
            |end_ms: i64, case: &JudgedFault<'_>| case.truth.detectable_ms.is_some_and(|d| d + SOON_MS <= end_ms);
        let found: Vec<&JudgedFault<'_>> =
            cases.iter().map(|(case, _)| *case).filter(|c| c.opened_ms().is_some()).collect();
        let of_found = |gap: fn(&JudgedFault<'_>, i64) -> Option<f64>| {
            found.iter().filter_map(|case| gap(case, case.opened_ms()?)).collect::<Vec<f64>>()
        };
        let delays = of_found(|case, opened_ms| Some((opened_ms - case.truth.detectable_ms?) as f64 / HOUR_MS));
        let leads = of_found(|case, opened_ms| Some((case.truth.customer_ms? - opened_ms) as f64 / DAY_MS));
        let incidents: usize = found.iter().map(|case| case.incidents.len()).sum();
        Self {
            found: Share { hits: found.len(), of: cases.len() },
            found_detectable: Share::count(
                cases.iter().filter(|(case, end_ms)| in_time(*end_ms, case)),
                |(case, _)| case.opened_ms().is_some(),
            ),
            before_customer: Share::count(customers(), |(case, _)| is_before_customer(case)),
            before_customer_detectable: Share::count(customers().filter(|(case, _)| told(case)), |(case, _)| {
                is_before_customer(case)
            }),
            within_48h: Share::count(cases, |(case, _)| is_soon(case)),
            within_48h_detectable: Share::count(
                cases.iter().filter(|(case, end_ms)| in_time(*end_ms, case)),
                |(c, _)| is_soon(c),
            ),
            delay_h: median(delays.iter().copied()).zip(quantile(delays.iter().copied(), 0.9)),
            lead_d: median(leads.iter().copied()).zip(quantile(leads.iter().copied(), 0.1)),
            lead_share: median(of_found(lead_share)),
            domain: Share::count(&found, |case| case.is_domain_right()),
            scope: Share::count(&found, |case| case.is_scope_right()),
            component: Share::count(&found, |case| case.is_component_right()),
            single: Share::count(&found, |case| case.incidents.len() == 1 && case.is_scope_right()),
            incidents_per_cause: (!found.is_empty()).then(|| incidents as f64 / found.len() as f64),
        }
    }
}

/// Whether it was found before its customer noticed.
pub fn is_before_customer(case: &JudgedFault<'_>) -> bool {
    case.opened_ms().zip(case.truth.customer_ms).is_some_and(|(opened, customer)| opened < customer)
}

/// Whether it was found within 48 h of detectable, or before.
pub fn is_soon(case: &JudgedFault<'_>) -> bool {
    case.opened_ms().zip(case.truth.detectable_ms).is_some_and(|(opened, detectable)| opened <= detectable + SOON_MS)
}

fn lead_share(case: &JudgedFault<'_>, opened_ms: i64) -> Option<f64> {
    let (detectable_ms, customer_ms) = case.truth.detectable_ms.zip(case.truth.customer_ms)?;
    (detectable_ms < customer_ms).then(|| (customer_ms - opened_ms) as f64 / (customer_ms - detectable_ms) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::opened::Opened;
    use firmware_sim::Truth;
    use zenei_detect::{Component, Domain, Scope, ScopeKind};
    use zenei_wire::Id;

    const DAY: i64 = 86_400_000;

    fn truth(lock: &str, detectable: Option<i64>, customer: Option<i64>) -> Truth {
        Truth {
            family: "H1".into(),
            control: false,
            domain: Some("hardware".into()),
            component: Some("gear".into()),
            scope: firmware_sim::Scope { kind: "device".into(), value: lock.into() },
            devices: vec![lock.into()],
            onset_ms: 0,
            detectable_ms: detectable.map(|day| day * DAY),
            customer_ms: customer.map(|day| day * DAY),
            end_ms: 30 * DAY,
        }
    }

    fn opened(lock: &str, day: i64, domain: Domain) -> Opened {
        Opened {
            id: Id(0),
            at_ms: day * DAY,
            rule: "rule".into(),
            domain,
            component: Component::Gear,
            scope: Scope { kind: ScopeKind::Device, value: lock.into() },
            devices: [lock.to_owned()].into(),
            why: String::new(),
        }
    }

    #[test]
    fn each_measure_counts_what_it_says() {
        let played = Played {
            truth: vec![
                truth("A", Some(4), Some(24)), // found on day 6: in time, within 48 h, three quarters of a lead left
                truth("B", Some(10), Some(20)), // found on day 25: after the customer
                truth("C", None, Some(20)),    // nobody can tell; missed
                truth("D", Some(29), None),    // too late in the run to count; missed
                truth("E", Some(15), Some(8)), // the customer comes first; found on day 16
            ],
            incidents: vec![
                opened("A", 6, Domain::Hardware),
                opened("A", 9, Domain::Software),
                opened("E", 16, Domain::Hardware),
                opened("B", 25, Domain::Software),
            ],
            locks: 5,
            span_ms: (0, 30 * DAY),
            ..Played::default()
        };
        let runs = [Run::of(1, None, &played)];
        let found = Measures::of(&runs, &["H1"]);
        let share = |hits, of| Share { hits, of };
        assert_eq!((found.found, found.before_customer), (share(3, 5), share(1, 4)));
        assert_eq!(found.before_customer_detectable, share(1, 2));
        assert_eq!((found.within_48h, found.within_48h_detectable), (share(2, 5), share(2, 3)));
        assert_eq!(found.delay_h, Some((48.0, 360.0)));
        assert_eq!(found.lead_d, Some((-5.0, -8.0)));
        // (24-6)/(24-4) and (20-25)/(20-10)
        assert!((found.lead_share.unwrap() - (0.9 - 0.5) / 2.0).abs() < 1e-12);
        assert_eq!((found.domain, found.scope, found.component), (share(2, 3), share(3, 3), share(3, 3)));
        assert_eq!(found.incidents_per_cause, Some(4.0 / 3.0));
        assert_eq!(Measures::of(&runs, &["H2"]), Measures::default());
    }
}
