//! The benchmark's tables, and the same figures as JSON. Decides nothing. Called by `fleet`.
use super::falsely::{Falsely, Rate, is_inside};
use super::matching::JudgedFault;
use super::measure::{BEFORE_CUSTOMER, Measures, Run, SHARED, SOON, is_before_customer, is_soon};
use super::play::{Cost, Played};
use crate::interval::Share;
use crate::opened::Opened;
use crate::table::table;
use serde::Serialize;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::io::{self, Write};

const DAY_MS: f64 = 86_400_000.0;

/// The groups of families with their names: the first two have goals of their own.
const GROUPS: [(&str, &[&str]); 3] = [("before customer", &BEFORE_CUSTOMER), ("soon", &SOON), ("shared", &SHARED)];

/// All figures of some runs, pooled.
#[derive(Debug, Serialize)]
pub struct Report {
    /// By family.
    pub families: BTreeMap<String, Measures>,
    /// By group of families, and all together (`per lock`: the first two groups; `all`).
    pub groups: Vec<(String, Measures)>,
    /// The false incidents.
    pub falsely: Falsely,
    /// The summed cost.
    pub cost: CostOf,
}

/// The cost of several runs together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CostOf {
    /// Locks of all runs.
    pub locks: usize,
    /// Records read.
    pub records: u64,
    /// Records and messages that could not be read.
    pub dead_letters: u64,
    /// CPU seconds of simulator, decoding, intake with engine, and correlation.
    pub seconds: [f64; 4],
    /// Bytes of the engines' state.
    pub state_bytes: u64,
}

/// One figure of a comparison.
struct Figure {
    name: String,
    value: Option<f64>,
    is_more_better: bool,
}

impl Report {
    /// Pools the runs.
    pub fn of(runs: &[Run<'_>]) -> Self {
        let families = GROUPS.iter().flat_map(|(_, families)| families.iter());
        let per_lock: Vec<&str> = BEFORE_CUSTOMER.iter().chain(&SOON).copied().collect();
        let all: Vec<&str> = per_lock.iter().chain(&SHARED).copied().collect();
        let mut groups: Vec<(String, Measures)> =
            GROUPS.iter().map(|(name, families)| ((*name).to_owned(), Measures::of(runs, families))).collect();
        groups.insert(2, ("per lock".to_owned(), Measures::of(runs, &per_lock)));
        groups.push(("all".to_owned(), Measures::of(runs, &all)));
        Self {
            families: families.map(|&family| (family.to_owned(), Measures::of(runs, &[family]))).collect(),
            groups,
            falsely: Falsely::of(runs),
            cost: runs.iter().fold(CostOf::default(), |sum, run| sum.and(run.played)),
        }
    }

    /// Writes the tables.
    ///
    /// # Errors
    /// Where they can't be written.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        lines(out, &self.found())?;
        writeln!(out)?;
        lines(out, &self.attributed())?;
        writeln!(out)?;
        lines(out, &self.falsely())?;
        writeln!(out)?;
        lines(out, &self.controls())?;
        writeln!(out)?;
        self.cost.write(out)
    }

    fn rows(&self) -> impl Iterator<Item = (&str, &Measures)> {
        let families = GROUPS.iter().flat_map(|(_, families)| families.iter());
        let families = families.filter_map(|family| self.families.get_key_value(*family));
        let families = families.map(|(name, measures)| (name.as_str(), measures));
        families.chain(self.groups.iter().map(|(name, measures)| (name.as_str(), measures)))
    }

    fn found(&self) -> Vec<String> {
        let row = |(name, of): (&str, &Measures)| {
            vec![
                name.to_owned(),
                count(of.found),
                share(of.before_customer),
                share(of.before_customer_detectable),
                share(of.within_48h),
                share(of.within_48h_detectable),
            ]
        };
        let rows: Vec<Vec<String>> = self.rows().map(row).collect();
        let head =
            ["family", "found", "before customer", "of detectable", "within 48 h of detectable", "of detectable"];
        table(&head, &rows)
    }

    fn attributed(&self) -> Vec<String> {
        let pair = |pair: Option<(f64, f64)>| pair.map_or(["-".into(), "-".into()], |(a, b)| [one(a), one(b)]);
        let row = |(name, of): (&str, &Measures)| {
            let ([delay, delay_90], [lead, lead_10]) = (pair(of.delay_h), pair(of.lead_d));
            let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
            vec![
                name.to_owned(),
                delay,
                delay_90,
                lead,
                lead_10,
                number(of.lead_share),
                share(of.domain),
                count(of.scope),
                count(of.component),
                count(of.single),
                number(of.incidents_per_cause),
            ]
        };
        let rows: Vec<Vec<String>> = self.rows().map(row).collect();
        let head = [
            "of the found",
            "delay h",
            "p90",
            "lead d",
            "p10",
            "lead share",
            "domain right",
            "scope",
            "part",
            "one, right scope",
            "per cause",
        ];
        table(&head, &rows)
    }

    fn falsely(&self) -> Vec<String> {
        let all = std::iter::once(("all rules", &self.falsely.all));
        let by_rule = self.falsely.by_rule.iter().map(|(rule, rate)| (rule.as_str(), rate));
        let row = |(name, rate): (&str, &Rate)| {
            let (low, high) = rate.interval();
            let (value, bounds) = (format!("{:.5}", rate.value()), format!("{low:.5}–{high:.5}"));
            vec![name.to_owned(), rate.count.to_string(), value, bounds]
        };
        let rows: Vec<Vec<String>> = all.chain(by_rule).map(row).collect();
        let head = ["false incidents", "n", "per device-year", "95 %"];
        table(&head, &rows)
    }

    fn controls(&self) -> Vec<String> {
        let background = self.falsely.background.value();
        let row = |(family, rate): (&String, &Rate)| {
            let verdict = if rate.lower() <= background { "no more" } else { "MORE" };
            let years = format!("{:.1}", rate.device_years);
            let (value, lower) = (format!("{:.5}", rate.value()), format!("{:.5}", rate.lower()));
            vec![
                family.clone(),
                rate.count.to_string(),
                years,
                value,
                lower,
                format!("{background:.5}"),
                verdict.into(),
            ]
        };
        let rows: Vec<Vec<String>> = self.falsely.controls.iter().map(row).collect();
        let head = ["control", "incidents", "device-years", "rate", "lower 95 %", "background", "than elsewhere"];
        table(&head, &rows)
    }

    /// The figures that must not get much worse in a changed world.
    fn figures(&self) -> Vec<Figure> {
        let mut figures = Vec::new();
        for (name, of) in &self.groups {
            let mut add = |what: &str, value: Option<f64>, is_more_better: bool| {
                figures.push(Figure { name: format!("{name}: {what}"), value, is_more_better });
            };
            add("before customer, of detectable", of.before_customer_detectable.value(), true);
            add("within 48 h, of detectable", of.within_48h_detectable.value(), true);
            add("domain right", of.domain.value(), true);
            add("scope right", of.scope.value(), true);
            add("lead share", of.lead_share, true);
            add("incidents per cause", of.incidents_per_cause, false);
        }
        let value = Some(self.falsely.all.value());
        figures.push(Figure { name: "false incidents per device-year".to_owned(), value, is_more_better: false });
        figures
    }
}

impl CostOf {
    fn and(self, played: &Played) -> Self {
        let Cost { records, dead_letters, simulate_s, decode_s, detect_s, correlate_s, state_bytes } = played.cost;
        let more = [simulate_s, decode_s, detect_s, correlate_s];
        Self {
            locks: self.locks + played.locks,
            records: self.records + records,
            dead_letters: self.dead_letters + dead_letters,
            seconds: std::array::from_fn(|at| self.seconds[at] + more[at]),
            state_bytes: self.state_bytes + state_bytes,
        }
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let [simulate_s, decode_s, detect_s, correlate_s] = self.seconds;
        let per_second = |seconds: f64| self.records as f64 / seconds.max(1e-9);
        writeln!(out, "{} records of {} locks, {} dead letters", self.records, self.locks, self.dead_letters)?;
        writeln!(
            out,
            "{:.0} records per CPU-second in intake and engine ({detect_s:.1} s), {:.0} with decoding ({decode_s:.1} s); \
             incidents {correlate_s:.2} s, simulator {simulate_s:.1} s",
            per_second(detect_s),
            per_second(detect_s + decode_s)
        )?;
        writeln!(
            out,
            "{} bytes a lock (the engine's whole state as a snapshot)",
            self.state_bytes / self.locks.max(1) as u64
        )
    }
}

/// Writes a comparison of two worlds' figures: those that halve, or double where less is better, are marked.
///
/// # Errors
/// Where it can't be written.
pub fn write_compared(out: &mut impl Write, names: [&str; 2], reports: [&Report; 2]) -> io::Result<()> {
    let [ours, theirs] = reports.map(Report::figures);
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
    let row = |(one, other): (Figure, Figure)| {
        let mark = match one.value.zip(other.value) {
            Some((value, moved)) if one.is_more_better && moved < value / 2.0 => "HALVED",
            Some((value, moved)) if !one.is_more_better && moved > value * 2.0 => "DOUBLED",
            Some(_) | None => "",
        };
        vec![one.name, number(one.value), number(other.value), mark.to_owned()]
    };
    let rows: Vec<Vec<String>> = ours.into_iter().zip(theirs).map(row).collect();
    lines(out, &table(&["figure", names[0], names[1], ""], &rows))
}

/// Writes every false incident and every fault that was missed or found late, with the nearest reason.
///
/// # Errors
/// Where they can't be written.
pub fn write_details(out: &mut impl Write, run: &Run<'_>) -> io::Result<()> {
    let place =
        run.world.map_or_else(|| format!("seed {}", run.seed), |world| format!("seed {} world {world}", run.seed));
    for incident in &run.matched.others {
        let (day, scope) = (day(run, incident.at_ms), &incident.scope);
        let beside = beside(run, incident).join(", ");
        writeln!(
            out,
            "false   {place} day {day:.1} {} on {} {}: {} [{beside}]",
            incident.rule, scope.kind, scope.value, incident.why
        )?;
    }
    for case in &run.matched.cases {
        if let Some(reason) = shortfall(run, case) {
            let truth = case.truth;
            let when = |ms: Option<i64>| ms.map_or_else(|| "never".to_owned(), |ms| format!("{:.1}", day(run, ms)));
            writeln!(
                out,
                "{}  {place} {} {} {}: onset {:.1}, detectable {}, customer {}, end {:.1}: {reason}",
                if case.incidents.is_empty() { "missed" } else { "late  " },
                truth.family,
                truth.scope.kind,
                truth.scope.value,
                day(run, truth.onset_ms),
                when(truth.detectable_ms),
                when(truth.customer_ms),
                day(run, truth.end_ms)
            )?;
        }
        if let Some(waits) = waits(run, case) {
            writeln!(
                out,
                "waits   {place} {} {} {}: {waits}",
                case.truth.family, case.truth.scope.kind, case.truth.scope.value
            )?;
        }
    }
    Ok(())
}

/// What stood at `detectable`, and when the fault was found: the decisions nearest to that time, of three rules at
/// most.
fn waits(run: &Run<'_>, case: &JudgedFault<'_>) -> Option<String> {
    let detectable_ms = case.truth.detectable_ms?;
    let hours = |at_ms: i64| (at_ms - detectable_ms) as f64 / DAY_MS * 24.0;
    let found = match case.incidents.first() {
        Some(incident) => format!("found by {} {:+.1} h after detectable", incident.rule, hours(incident.at_ms)),
        None => "not found".to_owned(),
    };
    let near = run.played.rejected.at_detectable(case.truth);
    let near = near.iter().take(3).map(|one| {
        format!(
            "{} {:+.1} h {} ({:.3} of {:.3} {})",
            one.rule,
            hours(one.at_ms),
            one.reason,
            one.value,
            one.threshold,
            one.unit
        )
    });
    let near: Vec<String> = near.collect();
    let near = if near.is_empty() { "nothing was considered".to_owned() } else { near.join("; ") };
    Some(format!("{found}; then: {near}"))
}

/// All figures for programs.
pub fn to_json(runs: &[Run<'_>], report: &Report) -> Json {
    let incident = |incident: &&Opened| {
        json!({"id": incident.id, "at_ms": incident.at_ms, "rule": incident.rule, "domain": incident.domain,
            "component": incident.component, "scope": incident.scope, "devices": incident.devices.len(), "why": incident.why})
    };
    let case = |run: &Run<'_>, case: &JudgedFault<'_>| {
        json!({"truth": {"family": case.truth.family, "scope": case.truth.scope, "domain": case.truth.domain,
                "component": case.truth.component, "devices": case.truth.devices.len(), "onset_ms": case.truth.onset_ms,
                "detectable_ms": case.truth.detectable_ms, "customer_ms": case.truth.customer_ms, "end_ms": case.truth.end_ms},
            "incidents": case.incidents.iter().map(incident).collect::<Vec<_>>(), "shortfall": shortfall(run, case)})
    };
    let one = |run: &Run<'_>| {
        json!({"seed": run.seed, "world": run.world, "locks": run.played.locks, "start_ms": run.played.span_ms.0, "end_ms": run.played.span_ms.1,
            "faults": run.matched.cases.iter().map(|c| case(run, c)).collect::<Vec<_>>(),
            "false": run.matched.others.iter().map(incident).collect::<Vec<_>>()})
    };
    json!({"version": 1, "pooled": report, "runs": runs.iter().map(one).collect::<Vec<_>>()})
}

/// How a fault's finding falls short; `None` where it was found before the customer, or soon where no customer noticed.
fn shortfall(run: &Run<'_>, case: &JudgedFault<'_>) -> Option<String> {
    let truth = case.truth;
    let is_good = match truth.customer_ms {
        Some(_) if BEFORE_CUSTOMER.contains(&truth.family.as_str()) => is_before_customer(case),
        Some(_) | None => is_soon(case),
    };
    if is_good {
        return None;
    }
    if let Some(incident) = case.incidents.first() {
        let after = |ms: Option<i64>| {
            ms.map_or_else(|| "-".to_owned(), |ms| format!("{:.1} d", (incident.at_ms - ms) as f64 / DAY_MS))
        };
        let (customer, detectable) = (after(truth.customer_ms), after(truth.detectable_ms));
        return Some(format!(
            "opened by {} {detectable} after detectable, {customer} after the customer",
            incident.rule
        ));
    }
    let nearest = run.played.rejected.nearest(truth);
    let Some(one) = nearest.first() else { return Some("no alarm and no candidate".to_owned()) };
    Some(format!(
        "no alarm; nearest: {} on day {:.1}, {} ({:.3} of {:.3} {})",
        one.rule,
        day(run, one.at_ms),
        one.reason,
        one.value,
        one.threshold,
        one.unit
    ))
}

/// The true faults and controls at the lock of a false incident: faults of its scope at other times, and controls.
fn beside(run: &Run<'_>, incident: &Opened) -> Vec<String> {
    let mut beside = Vec::new();
    for truth in &run.played.truth {
        let is_here = incident.devices.iter().any(|device| truth.devices.binary_search(device).is_ok());
        if truth.control && is_inside(incident, truth) {
            beside.push(format!("in {}", truth.family));
        } else if !truth.control && is_here {
            let (onset, end) =
                ((truth.onset_ms - incident.at_ms) as f64 / DAY_MS, (truth.end_ms - incident.at_ms) as f64 / DAY_MS);
            beside.push(format!("{} {} from {onset:+.1} d to {end:+.1} d", truth.family, truth.scope.kind));
        }
    }
    beside
}

fn day(run: &Run<'_>, at_ms: i64) -> f64 {
    (at_ms - run.played.span_ms.0) as f64 / DAY_MS
}

fn one(value: f64) -> String {
    format!("{value:.1}")
}

fn count(share: Share) -> String {
    format!("{}/{}", share.hits, share.of)
}

/// `9/10 0.90 (0.60–0.98)`.
fn share(share: Share) -> String {
    let (low, high) = share.interval();
    share.value().map_or_else(|| "-".to_owned(), |value| format!("{} {value:.2} ({low:.2}–{high:.2})", count(share)))
}

fn lines(out: &mut impl Write, lines: &[String]) -> io::Result<()> {
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))
}
