//! Promotion cards: what each rule did on the fleets of a benchmark, for the files that a live rule needs beside it.
//! Counts what `measure` and `falsely` count, by the rule that opened first. Pure but for [`write()`]. Called by
//! `fleet`.
use super::falsely::Falsely;
use super::matching::JudgedFault;
use super::measure::Run;
use crate::error::LabError;
use crate::interval::{median, poisson, quantile};
use std::collections::BTreeMap;
use std::path::Path;
use zenei_detect::rules::card::{Card, Hits, WorstWorld};
use zenei_detect::{Rule, Rules};
use zenei_wire::Id;

const HOUR_MS: f64 = 3_600_000.0;
const DAY_MS: f64 = 24.0 * HOUR_MS;
/// One-sided, for the bound of the rate of false incidents.
const TAIL: f64 = 0.05;

/// The card of each rule, from these runs; `worlds` are runs in worlds, those of a world together.
pub fn cards(rules: &Rules, runs: &[Run<'_>], worlds: &[Run<'_>]) -> Vec<Card> {
    let falsely = Falsely::of(runs);
    let device_years: f64 = runs.iter().map(Run::device_years).sum();
    let corpus = corpus(runs);
    let of_worlds: Vec<(u64, Falsely)> = worlds
        .chunk_by(|one, other| one.world == other.world)
        .filter_map(|runs| Some((runs.first()?.world?, Falsely::of(runs))))
        .collect();
    let card = |rule: &Rule| {
        let false_incidents = falsely.by_rule.get(&rule.id).map_or(0, |rate| rate.count);
        let of_rule = || cases(runs).filter(|case| is_first(rule, case));
        let leads = of_rule().filter_map(|case| Some((case.truth.customer_ms? - case.opened_ms()?) as f64 / DAY_MS));
        let delays =
            of_rule().filter_map(|case| Some((case.opened_ms()? - case.truth.detectable_ms?) as f64 / HOUR_MS));
        let (leads, delays): (Vec<f64>, Vec<f64>) = (leads.collect(), delays.collect());
        Card {
            rule: rule.id.clone(),
            rule_version: rule.version,
            rule_digest: rule.digest(),
            measured_by: concat!("zenei ", env!("CARGO_PKG_VERSION")).to_owned(),
            corpus: corpus.0.clone(),
            corpus_digest: corpus.1,
            device_years: rounded(device_years, 1e1),
            false_incidents: false_incidents as u64,
            per_device_year_bound: (poisson(false_incidents, TAIL).1 / device_years * 1e6).ceil() / 1e6,
            worst_world: worst(rule, &of_worlds),
            found: found(rule, runs),
            lead_days: pair(&leads, 0.1),
            delay_hours: pair(&delays, 0.9),
        }
    };
    rules.iter().map(card).collect()
}

/// The world in which a rule said most falsely; of equal ones the first.
fn worst(rule: &Rule, worlds: &[(u64, Falsely)]) -> Option<WorstWorld> {
    let rates = worlds.iter().map(|(world, falsely)| {
        let count = falsely.by_rule.get(&rule.id).map_or(0, |rate| rate.count);
        (*world, count, falsely.all.device_years)
    });
    let rate = |(_, count, years): &(u64, usize, f64)| *count as f64 / years;
    let (world, count, years) = rates.reduce(|one, other| if rate(&other) > rate(&one) { other } else { one })?;
    let low = poisson(count, TAIL).0 / years;
    Some(WorstWorld {
        world,
        of: worlds.len() as u64,
        device_years: rounded(years, 1e1),
        incidents: count as u64,
        per_device_year_low: rounded(low, 1e6),
    })
}

/// Writes the cards into a folder of rules, each into its rule's folder.
///
/// # Errors
/// Where they can't be written.
pub fn write(folder: &Path, cards: &[Card]) -> Result<(), LabError> {
    for card in cards {
        let folder = folder.join(&card.rule);
        std::fs::create_dir_all(&folder).map_err(|error| LabError::unwritten(&folder, error))?;
        let path = folder.join("card.toml");
        std::fs::write(&path, card.to_toml()).map_err(|error| LabError::unwritten(&path, error))?;
    }
    Ok(())
}

fn cases<'a, 'r>(runs: &'a [Run<'r>]) -> impl Iterator<Item = &'a JudgedFault<'r>> {
    runs.iter().flat_map(|run| &run.matched.cases)
}

fn is_first(rule: &Rule, case: &JudgedFault<'_>) -> bool {
    case.incidents.first().is_some_and(|incident| incident.rule == rule.id)
}

/// For each family of which the rule found any fault first: how many of how many.
fn found(rule: &Rule, runs: &[Run<'_>]) -> BTreeMap<String, Hits> {
    let mut found: BTreeMap<String, Hits> = BTreeMap::new();
    for case in cases(runs) {
        let hits = found.entry(case.truth.family.clone()).or_default();
        hits.of += 1;
        hits.first += u64::from(is_first(rule, case));
    }
    found.retain(|_, hits| hits.first > 0);
    found
}

/// A text about the fleets, and a digest of their labels and of their number of records: equal digests are equal
/// fleets.
fn corpus(runs: &[Run<'_>]) -> (String, Id) {
    let Some(first) = runs.first() else { return ("nothing".to_owned(), Id::of(&[])) };
    let days = (first.played.span_ms.1 - first.played.span_ms.0) as f64 / DAY_MS;
    let seeds: Vec<String> = runs.iter().map(|run| run.seed.to_string()).collect();
    let faults = cases(runs).count();
    let name = format!(
        "{} simulated fleets of {} locks over {days:.0} days, seeds {}, {faults} labelled faults",
        runs.len(),
        first.played.locks,
        seeds.join(" ")
    );
    let labels = runs.iter().map(|run| format!("{} {} {:?}", run.seed, run.played.cost.records, run.played.truth));
    let labels: Vec<String> = labels.collect();
    let parts: Vec<&[u8]> = labels.iter().map(String::as_bytes).collect();
    (name, Id::of(&parts))
}

fn pair(values: &[f64], other: f64) -> Option<[f64; 2]> {
    let (middle, other) = (median(values.iter().copied())?, quantile(values.iter().copied(), other)?);
    Some([rounded(middle, 1e1), rounded(other, 1e1)])
}

fn rounded(value: f64, scale: f64) -> f64 {
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::super::play::Played;
    use super::*;
    use crate::opened::Opened;
    use firmware_sim::Truth;
    use zenei_detect::{Component, Domain, Scope, ScopeKind};

    fn opened(rule: &str, lock: &str, day: i64) -> Opened {
        Opened {
            id: Id(day as u128),
            at_ms: day * DAY_MS as i64,
            rule: rule.into(),
            domain: Domain::Hardware,
            component: Component::Gear,
            scope: Scope { kind: ScopeKind::Device, value: lock.into() },
            devices: [lock.to_owned()].into(),
            why: String::new(),
        }
    }

    fn fault(family: &str, lock: &str, day: i64) -> Truth {
        let at = |days: i64| (day + days) * DAY_MS as i64;
        Truth {
            family: family.into(),
            control: false,
            domain: Some("hardware".into()),
            component: Some("gear".into()),
            scope: firmware_sim::Scope { kind: "device".into(), value: lock.into() },
            devices: vec![lock.into()],
            onset_ms: at(0),
            detectable_ms: Some(at(2)),
            customer_ms: Some(at(30)),
            end_ms: at(40),
        }
    }

    #[test]
    fn a_card_counts_what_its_rule_opened_first_and_what_it_opened_about_nothing() {
        let played = Played {
            truth: vec![fault("H1", "A", 10), fault("H1", "B", 10), fault("H5", "C", 10)],
            incidents: vec![
                opened("motor-effort", "A", 15),
                opened("battery-resistance", "C", 16),
                opened("motor-effort", "C", 17),
                opened("motor-effort", "Z", 18),
            ],
            locks: 3_653,
            span_ms: (0, 100 * DAY_MS as i64),
            ..Played::default()
        };
        let rules = Rules::embedded().unwrap();
        let in_world = [Run::of(7, Some(3), &played), Run::of(8, Some(3), &played)];
        let cards = cards(&rules, &[Run::of(7, None, &played)], &in_world);
        assert_eq!(cards.len(), rules.iter().count());
        let motor = cards.iter().find(|card| card.rule == "motor-effort").unwrap();
        assert_eq!(motor.found, BTreeMap::from([("H1".to_owned(), Hits { first: 1, of: 2 })]));
        let worst = motor.worst_world.unwrap();
        assert_eq!((worst.world, worst.of, worst.incidents, worst.device_years), (3, 1, 2, 2_000.3));
        // Garwood: two events, 95 % one-sided from below, 0.3554; over 2,000.3 device-years.
        assert_eq!(worst.per_device_year_low, 0.000_178);
        assert_eq!((motor.false_incidents, motor.lead_days, motor.delay_hours), (1, Some([25.0; 2]), Some([72.0; 2])));
        // Garwood: one event, 95 % one-sided, 4.744; over 1,000.1 device-years.
        assert_eq!((motor.device_years, motor.per_device_year_bound), (1_000.1, 0.004_744));
        let errors = cards.iter().find(|card| card.rule == "firmware-errors").unwrap();
        assert_eq!((errors.false_incidents, errors.found.len(), errors.lead_days), (0, 0, None));
        assert_eq!(errors.per_device_year_bound, 0.002_996);
        assert_eq!(motor.corpus, "1 simulated fleets of 3653 locks over 100 days, seeds 7, 3 labelled faults");
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &cards).unwrap();
        let text = std::fs::read_to_string(folder.path().join("motor-effort/card.toml")).unwrap();
        assert_eq!(Card::parse("card.toml", &text).as_ref(), Ok(motor));
    }
}
