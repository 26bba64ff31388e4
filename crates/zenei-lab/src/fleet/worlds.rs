//! `bench fleet --worlds`: which worlds are asked for, and one line of figures for each of them, for the worst and for
//! all together. Decides nothing. Called by `fleet`.
use super::falsely::Falsely;
use super::measure::{BEFORE_CUSTOMER, Measures, Run, SHARED, SOON};
use crate::interval::Share;
use crate::table::table;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

/// The figures of one world.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Of the faults that are detectable 48 h before the end of the run, those that were found at all.
    pub recall: Share,
    /// Of those that are detectable before their customer notices, those found before.
    pub before_customer: Share,
    /// Of the incidents, those about a true fault.
    pub precision: Share,
    /// False incidents a device-year.
    pub falsely: f64,
    /// False incidents by rule.
    pub by_rule: BTreeMap<String, usize>,
    /// Of the found, those with the right domain.
    pub domain: Share,
    /// Of the found, those with the right scope.
    pub scope: Share,
    /// Incidents for each found fault.
    pub per_cause: Option<f64>,
    /// Hours from detectable to found, median.
    pub delay_h: Option<f64>,
    /// Found before the customer of the detectable, by family.
    pub by_family: BTreeMap<String, (Share, Share)>,
}

/// The worlds that `--worlds` names: `9` is 1 to 9, `101-110` a range, `3-3` a single one.
///
/// # Errors
/// A text for the user, where it is none of these.
pub fn parse(text: &str) -> Result<Vec<u64>, String> {
    let wrong = || "allowed are a count like 9 (worlds 1 to 9) and a range like 101-110".to_owned();
    let number = |text: &str| text.parse::<u64>().ok().filter(|number| (1..=9_999_999).contains(number));
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (number(first), number(last)),
        None => (Some(1), number(text)),
    };
    let (Some(first), Some(last)) = (first, last) else { return Err(wrong()) };
    if first > last || last - first >= 10_000 { Err(wrong()) } else { Ok((first..=last).collect()) }
}

impl Figures {
    /// The figures of some runs, pooled.
    pub fn of(runs: &[Run<'_>]) -> Self {
        let families: Vec<&str> = BEFORE_CUSTOMER.iter().chain(&SOON).chain(&SHARED).copied().collect();
        let all = Measures::of(runs, &families);
        let falsely = Falsely::of(runs);
        let (mut right, mut others) = (0, 0);
        for run in runs {
            right += run.matched.cases.iter().map(|case| case.incidents.len()).sum::<usize>();
            others += run.matched.others.len();
        }
        let by_family = families.iter().map(|&family| {
            let of = Measures::of(runs, &[family]);
            (family.to_owned(), (of.found_detectable, of.before_customer_detectable))
        });
        Self {
            recall: all.found_detectable,
            before_customer: all.before_customer_detectable,
            precision: Share { hits: right, of: right + others },
            falsely: falsely.all.value(),
            by_rule: falsely.by_rule.iter().map(|(rule, rate)| (rule.clone(), rate.count)).collect(),
            domain: all.domain,
            scope: all.scope,
            per_cause: all.incidents_per_cause,
            delay_h: all.delay_h.map(|(median, _)| median),
            by_family: by_family.filter(|(_, (found, _))| found.of > 0).collect(),
        }
    }
}

/// The figures of each world; the runs of a world stand together.
pub fn figures(runs: &[Run<'_>]) -> Vec<(u64, Figures)> {
    let worlds = runs.chunk_by(|one, other| one.world == other.world);
    worlds.filter_map(|runs| Some((runs.first()?.world?, Figures::of(runs)))).collect()
}

/// Writes a line for each world, then the worst value of each figure, then all worlds together; then what was found and
/// false by family and rule.
///
/// # Errors
/// Where they can't be written.
pub fn write(out: &mut impl Write, runs: &[Run<'_>]) -> io::Result<()> {
    let (figures, pooled) = (figures(runs), Figures::of(runs));
    let mut rows: Vec<Vec<String>> = figures.iter().map(|(world, of)| row(&format!("world {world}"), of)).collect();
    rows.push(worst(&figures));
    rows.push(row("all", &pooled));
    let head =
        ["", "recall", "before customer", "precision", "false/dev-year", "domain", "scope", "per cause", "delay h"];
    table(&head, &rows).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    writeln!(out)?;
    let rules: BTreeSet<&String> = figures.iter().flat_map(|(_, of)| of.by_rule.keys()).collect();
    let mut head = vec!["false by rule".to_owned()];
    head.extend(figures.iter().map(|(world, _)| world.to_string()));
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let count = |of: &Figures, rule: &str| of.by_rule.get(rule).map_or_else(String::new, usize::to_string);
    let by_rule = rules.iter().map(|rule| {
        std::iter::once((*rule).clone()).chain(figures.iter().map(|(_, of)| count(of, rule))).collect::<Vec<_>>()
    });
    table(&head, &by_rule.collect::<Vec<_>>()).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    writeln!(out)?;
    let by_family =
        pooled.by_family.iter().map(|(family, (found, before))| vec![family.clone(), share(*found), share(*before)]);
    let head = ["family", "found of detectable", "before customer"];
    table(&head, &by_family.collect::<Vec<_>>()).iter().try_for_each(|line| writeln!(out, "{line}"))
}

fn row(name: &str, of: &Figures) -> Vec<String> {
    vec![
        name.to_owned(),
        share(of.recall),
        share(of.before_customer),
        share(of.precision),
        format!("{:.4}", of.falsely),
        value(of.domain),
        value(of.scope),
        number(of.per_cause),
        number(of.delay_h),
    ]
}

/// The worst value of each figure over the worlds.
fn worst(figures: &[(u64, Figures)]) -> Vec<String> {
    let least = |get: fn(&Figures) -> Option<f64>| figures.iter().filter_map(|(_, of)| get(of)).min_by(f64::total_cmp);
    let most = |get: fn(&Figures) -> Option<f64>| figures.iter().filter_map(|(_, of)| get(of)).max_by(f64::total_cmp);
    vec![
        "worst".to_owned(),
        number(least(|of| of.recall.value())),
        number(least(|of| of.before_customer.value())),
        number(least(|of| of.precision.value())),
        most(|of| Some(of.falsely)).map_or_else(String::new, |rate| format!("{rate:.4}")),
        number(least(|of| of.domain.value())),
        number(least(|of| of.scope.value())),
        number(most(|of| of.per_cause)),
        number(most(|of| of.delay_h)),
    ]
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
}

fn value(share: Share) -> String {
    number(share.value())
}

/// `9/10 0.90`.
fn share(share: Share) -> String {
    share.value().map_or_else(|| "-".to_owned(), |value| format!("{}/{} {value:.2}", share.hits, share.of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worlds_are_named_by_a_count_or_a_range() {
        assert_eq!(parse("3"), Ok(vec![1, 2, 3]));
        assert_eq!(parse("101-103"), Ok(vec![101, 102, 103]));
        assert_eq!(parse("7-7"), Ok(vec![7]));
        for wrong in ["0", "", "x", "5-4", "1-99999", "-3", "3-"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
