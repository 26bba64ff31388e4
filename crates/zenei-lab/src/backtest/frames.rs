//! The queries of a backtest as grouped columns. The only file that uses polars. Called by `backtest`.
use super::labels::{Judged, Sought};
use crate::error::LabError;
use polars::prelude::{DataFrame, Expr, IntoLazy, LazyFrame, PolarsResult, SortMultipleOptions, col, df, len, lit};

const DAY_MS: i64 = 86_400_000;
/// Rows that are collected before they are grouped: some 30 MB of names.
const GROUPED_ROWS: usize = 1 << 20;

/// For a rule: how many incidents it opened, how many of them were right, how early.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub(crate) struct OfRule {
    pub(crate) rule: String,
    pub(crate) incidents: u32,
    /// Confirmed by a label; `None` without labels.
    pub(crate) confirmed: Option<u32>,
    /// Days before the customer, median over incidents with one.
    pub(crate) lead_d: Option<f64>,
}

/// For a kind of label: how many there are, how many were found, and how many before the customer.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub(crate) struct OfLabel {
    pub(crate) what: String,
    pub(crate) labels: u32,
    pub(crate) found: u32,
    pub(crate) with_customer: u32,
    pub(crate) before_customer: u32,
    /// Days before the customer, median over the found ones with one.
    pub(crate) lead_d: Option<f64>,
}

/// Incidents of a rule on a day (UTC, days since 1970).
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub(crate) struct OfDay {
    pub(crate) day: i32,
    pub(crate) rule: String,
    pub(crate) incidents: u32,
}

/// The received records, by day and lock: rows are added part by part, and from time to time reduced to one a lock and
/// day, so that memory grows with the fleet and not with its records.
#[derive(Debug, Default)]
pub(crate) struct HeardDays {
    days: Vec<i32>,
    devices: Vec<String>,
    kept: Option<DataFrame>,
}

impl HeardDays {
    /// Adds records: the day (UTC) and the lock of each.
    ///
    /// # Errors
    /// Where the columns can't be grouped.
    pub(crate) fn add(&mut self, days: Vec<i32>, devices: Vec<String>) -> Result<(), LabError> {
        self.days.extend(days);
        self.devices.extend(devices);
        if self.days.len() < GROUPED_ROWS { Ok(()) } else { self.group().map_err(broken) }
    }

    /// Number of locks received a day, summed over the days.
    ///
    /// # Errors
    /// Where the columns can't be grouped.
    pub(crate) fn device_days(mut self) -> Result<usize, LabError> {
        self.group().map_err(broken)?;
        Ok(self.kept.map_or(0, |kept| kept.height()))
    }

    fn group(&mut self) -> PolarsResult<()> {
        let part = df!("day" => std::mem::take(&mut self.days), "device" => std::mem::take(&mut self.devices))?;
        let all = match self.kept.take() {
            Some(kept) => kept.vstack(&part)?,
            None => part,
        };
        self.kept = Some(all.lazy().group_by([col("day"), col("device")]).agg([]).collect()?);
        Ok(())
    }
}

/// By rule, in order of name.
///
/// # Errors
/// Where the columns can't be grouped.
pub(crate) fn by_rule(judged: &[Judged]) -> Result<Vec<OfRule>, LabError> {
    let asked = || -> PolarsResult<Vec<OfRule>> {
        let groups = frame(judged)?.group_by([col("rule")]);
        let confirmed = col("confirmed").sum().alias("confirmed");
        let known = col("confirmed").count().alias("known");
        let frame = collected(groups.agg([count("incidents"), confirmed, known, col("lead_d").median()]), &["rule"])?;
        let (rules, incidents) = (texts(&frame, "rule")?, numbers(&frame, "incidents")?);
        let (confirmed, known) = (numbers(&frame, "confirmed")?, numbers(&frame, "known")?);
        let leads = floats(&frame, "lead_d")?;
        let row = |at: usize| OfRule {
            rule: rules[at].clone(),
            incidents: incidents[at],
            confirmed: (known[at] > 0).then_some(confirmed[at]),
            lead_d: leads[at],
        };
        Ok((0..frame.height()).map(row).collect())
    };
    asked().map_err(broken)
}

/// By day and rule, in order.
///
/// # Errors
/// Where the columns can't be grouped.
pub(crate) fn by_day(judged: &[Judged]) -> Result<Vec<OfDay>, LabError> {
    let asked = || -> PolarsResult<Vec<OfDay>> {
        let groups = frame(judged)?.group_by([col("day"), col("rule")]);
        let frame = collected(groups.agg([count("incidents")]), &["day", "rule"])?;
        let days: Vec<i32> = frame.column("day")?.i32()?.iter().map(Option::unwrap_or_default).collect();
        let (rules, incidents) = (texts(&frame, "rule")?, numbers(&frame, "incidents")?);
        let row = |at: usize| OfDay { day: days[at], rule: rules[at].clone(), incidents: incidents[at] };
        Ok((0..frame.height()).map(row).collect())
    };
    asked().map_err(broken)
}

/// By kind of label, in order of name.
///
/// # Errors
/// Where the columns can't be grouped.
pub(crate) fn by_label(sought: &[Sought]) -> Result<Vec<OfLabel>, LabError> {
    let asked = || -> PolarsResult<Vec<OfLabel>> {
        let what: Vec<&str> = sought.iter().map(|one| one.what.as_str()).collect();
        let opened: Vec<Option<i64>> = sought.iter().map(|one| one.opened_ms).collect();
        let customer: Vec<Option<i64>> = sought.iter().map(|one| one.customer_ms).collect();
        let frame = df!("what" => what, "opened" => opened, "customer" => customer)?.lazy();
        let lead = (col("customer") - col("opened")).alias("lead_ms");
        let groups = frame.with_columns([lead]).group_by([col("what")]);
        let before = col("lead_ms").gt(lit(0_i64)).sum().alias("before");
        let counts = [count("labels"), col("opened").count(), col("customer").count(), before, col("lead_ms").median()];
        let frame = collected(groups.agg(counts), &["what"])?;
        let what = texts(&frame, "what")?;
        let [labels, found, customers, before] = [
            numbers(&frame, "labels")?,
            numbers(&frame, "opened")?,
            numbers(&frame, "customer")?,
            numbers(&frame, "before")?,
        ];
        let leads = floats(&frame, "lead_ms")?;
        let row = |at: usize| OfLabel {
            what: what[at].clone(),
            labels: labels[at],
            found: found[at],
            with_customer: customers[at],
            before_customer: before[at],
            lead_d: leads[at].map(|ms| ms / DAY_MS as f64),
        };
        Ok((0..frame.height()).map(row).collect())
    };
    asked().map_err(broken)
}

fn frame(judged: &[Judged]) -> PolarsResult<LazyFrame> {
    let rule: Vec<&str> = judged.iter().map(|one| one.rule.as_str()).collect();
    // The days of all years that records may have fit into 32 bits.
    let day: Vec<i32> = judged.iter().map(|one| one.at_ms.div_euclid(DAY_MS) as i32).collect();
    let confirmed: Vec<Option<bool>> = judged.iter().map(|one| one.is_confirmed).collect();
    let lead_d: Vec<Option<f64>> = judged.iter().map(|one| one.lead_d).collect();
    Ok(df!("rule" => rule, "day" => day, "confirmed" => confirmed, "lead_d" => lead_d)?.lazy())
}

fn count(name: &str) -> Expr {
    len().alias(name)
}

fn collected(frame: LazyFrame, by: &[&str]) -> PolarsResult<DataFrame> {
    frame.sort(by.to_vec(), SortMultipleOptions::default()).collect()
}

fn texts(frame: &DataFrame, name: &str) -> PolarsResult<Vec<String>> {
    Ok(frame.column(name)?.str()?.iter().map(|text| text.unwrap_or_default().to_owned()).collect())
}

fn numbers(frame: &DataFrame, name: &str) -> PolarsResult<Vec<u32>> {
    Ok(frame.column(name)?.u32()?.iter().map(Option::unwrap_or_default).collect())
}

fn floats(frame: &DataFrame, name: &str) -> PolarsResult<Vec<Option<f64>>> {
    Ok(frame.column(name)?.f64()?.iter().collect())
}

fn broken(error: polars::prelude::PolarsError) -> LabError {
    LabError::failed("the columns can't be grouped", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(rule: &str, day: i64, is_confirmed: Option<bool>, lead_d: Option<f64>) -> Judged {
        Judged { rule: rule.into(), at_ms: day * DAY_MS + 5, is_confirmed, lead_d }
    }

    #[test]
    fn incidents_are_counted_by_rule_and_by_day() {
        let all = [
            judged("b", 3, Some(true), Some(4.0)),
            judged("a", 3, Some(false), None),
            judged("b", 3, Some(true), Some(-1.0)),
            judged("b", -1, Some(false), None),
        ];
        let rule =
            |rule: &str, incidents, confirmed, lead_d| OfRule { rule: rule.into(), incidents, confirmed, lead_d };
        assert_eq!(by_rule(&all).unwrap(), [rule("a", 1, Some(0), None), rule("b", 3, Some(2), Some(1.5))]);
        let day = |day, rule: &str, incidents| OfDay { day, rule: rule.into(), incidents };
        assert_eq!(by_day(&all).unwrap(), [day(-1, "b", 1), day(3, "a", 1), day(3, "b", 2)]);
        assert_eq!(by_rule(&[judged("a", 0, None, None)]).unwrap(), [rule("a", 1, None, None)]);
        assert!(by_rule(&[]).unwrap().is_empty() && by_day(&[]).unwrap().is_empty());
    }

    #[test]
    fn labels_are_counted_by_kind() {
        let sought = |what: &str, opened: Option<i64>, customer: Option<i64>| Sought {
            what: what.into(),
            opened_ms: opened.map(|day| day * DAY_MS),
            customer_ms: customer.map(|day| day * DAY_MS),
        };
        let all = [
            sought("H1", Some(2), Some(8)),
            sought("H1", Some(9), Some(8)),
            sought("H1", None, Some(3)),
            sought("H5", Some(1), None),
        ];
        let label = |what: &str, [labels, found, with_customer, before_customer]: [u32; 4], lead_d| OfLabel {
            what: what.into(),
            labels,
            found,
            with_customer,
            before_customer,
            lead_d,
        };
        assert_eq!(by_label(&all).unwrap(), [label("H1", [3, 2, 3, 1], Some(2.5)), label("H5", [1, 1, 0, 0], None)]);
    }

    #[test]
    fn a_lock_counts_once_a_day_however_often_it_is_heard() {
        assert_eq!(HeardDays::default().device_days().unwrap(), 0);
        let mut heard = HeardDays::default();
        heard.add(vec![1, 1, 2], vec!["A".into(), "A".into(), "A".into()]).unwrap();
        heard.group().unwrap();
        heard.add(vec![2, 2], vec!["A".into(), "B".into()]).unwrap();
        assert_eq!(heard.device_days().unwrap(), 3);
    }
}
