//! What `/metrics` shows of the rules: what each found and did not open, its incidents, and its budget for the time for
//! which locks were watched. Must not know a detector. Called by `metrics`.
use super::handles::Handles;
use crate::{causes, spending};
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use zenei_detect::DecisionReason;
use zenei_store::control::Tally;

/// The causes are judged anew after so long, ms: a quarter of an hour. A guess: they change from day to day.
const JUDGED_MS: i64 = 900_000;

/// Name, help, and value of a figure of each rule.
type Figure = (&'static str, &'static str, fn(&spending::Spending) -> f64);

/// What was counted up to the last scrape, so that each reads new rows only.
#[derive(Debug, Default)]
pub(super) struct RuleMetrics(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    tally: Tally,
    /// How many causes are doubted, and when that was judged, ms since 1970.
    doubted: Option<(u64, i64)>,
}

impl RuleMetrics {
    /// Writes the metrics; those of the decisions only where this process has a desk whose database can be read.
    pub(super) fn encode(&self, handles: &Handles, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let tail = handles.tail.as_ref().map_or(0, |tail| tail.borrow().lock_days);
        let lock_days = handles.ledger.borrow().lock_days.max(tail);
        let help = "For how long locks were watched for faults, a day for each lock and day on which it was heard";
        let metric = encoder.encode_descriptor("zenei_watched_lock_seconds", help, None, MetricType::Counter)?;
        ConstCounter::new(lock_days * 86_400).encode(metric)?;
        budgets(handles, lock_days, encoder)?;
        let Some((tally, doubted)) = self.count(handles) else { return Ok(()) };
        let help = "What a rule found; a finding that lasts is found again with its new records";
        let mut metric = encoder.encode_descriptor("zenei_rule_findings", help, None, MetricType::Counter)?;
        for rule in handles.rules.iter() {
            let count = tally.findings.get(&rule.id).copied().unwrap_or(0);
            ConstCounter::new(count).encode(metric.encode_family(&[("rule", rule.id.as_str())])?)?;
        }
        let help = "Candidates that opened no incident, by reason";
        let mut metric = encoder.encode_descriptor("zenei_rule_decisions", help, None, MetricType::Counter)?;
        for rule in handles.rules.iter() {
            for &reason in DecisionReason::ALL {
                let labels = [("rule", rule.id.as_str()), ("reason", reason.as_str())];
                ConstCounter::new(tally.refused(&rule.id, reason)).encode(metric.encode_family(&labels)?)?;
            }
        }
        let help = "Shared causes to which more is put down than one thing brings about; zenei doctor names them";
        let metric = encoder.encode_descriptor("zenei_causes_doubted", help, None, MetricType::Gauge)?;
        gauge(doubted).encode(metric)
    }

    /// The counts as they are now; `None` where they can't be read.
    fn count(&self, handles: &Handles) -> Option<(Tally, u64)> {
        let desk = handles.desk.as_ref()?;
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = handles.clock.now();
        let driver = desk.lock();
        let is_fresh = |at_ms: i64| (0..JUDGED_MS).contains(&(now.ms() - at_ms));
        let read = driver.control().tally(&mut counted.tally).and_then(|()| match counted.doubted {
            Some((doubted, at_ms)) if is_fresh(at_ms) => Ok((doubted, at_ms)),
            Some(_) | None => Ok((causes::doubted(driver.control(), &handles.rules, now)?.len() as u64, now.ms())),
        });
        drop(driver);
        match read {
            Ok(doubted) => {
                counted.doubted = Some(doubted);
                Some((counted.tally.clone(), doubted.0))
            }
            Err(error) => {
                tracing::debug!(error = %zenei_store::with_causes(&error), "the decisions can't be counted");
                None
            }
        }
    }
}

/// Each rule's incidents by verdict, and its budget.
fn budgets(handles: &Handles, lock_days: u64, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let all = spending::of(&handles.rules, &handles.incidents.read(), lock_days);
    let help = "Incidents that a rule opened, by what people judged";
    let mut metric = encoder.encode_descriptor("zenei_rule_incidents", help, None, MetricType::Gauge)?;
    for one in &all {
        let other = one.opened - one.falsely - one.unjudged;
        for (verdict, count) in [("true", other), ("false_positive", one.falsely), ("none", one.unjudged)] {
            let labels = [("rule", one.rule.as_str()), ("verdict", verdict)];
            gauge(count).encode(metric.encode_family(&labels)?)?;
        }
    }
    let figures: [Figure; 4] = [
        ("zenei_rule_budget", "False incidents that a rule may open, a year of one lock", |one| one.budget),
        ("zenei_rule_budget_allowed", "False incidents that its budget allows for the days watched", |one| one.allowed),
        (
            "zenei_rule_budget_bound",
            "The most of them that a rule within its budget has, but for one case in twenty",
            |one| one.bound as f64,
        ),
        ("zenei_rule_budget_left", "What is allowed less what people judged a false positive", |one| one.left()),
    ];
    for (name, help, of) in figures {
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for one in &all {
            ConstGauge::new(of(one)).encode(metric.encode_family(&[("rule", one.rule.as_str())])?)?;
        }
    }
    Ok(())
}

fn gauge(value: u64) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::metrics::registry;
    use crate::{DeskClock, DeskDriver, SharedDesk};
    use std::sync::Arc;
    use zenei_detect::{Domain, Findings, PartOf, Rules, Scope, ScopeKind};
    use zenei_kit::anomaly;
    use zenei_store::{Clock, Control, Ledger};
    use zenei_wire::EngineTime;

    fn scrape(handles: Handles) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry(handles)).unwrap();
        text
    }

    #[test]
    fn a_rule_shows_what_it_found_what_was_taken_from_it_and_what_its_budget_has_left() {
        let desk = SharedDesk::new(DeskDriver::open(Control::in_memory().unwrap(), Vec::new()).unwrap());
        let now = Clock::System.now().as_engine();
        let at_s = now.ms() / 1_000 - 60;
        let scope = Scope { kind: ScopeKind::ClientVersion, value: "5.2".into() };
        let component = zenei_detect::Component::App;
        let whole = PartOf { scope, domain: Domain::Software, component, rule: None, incident: None };
        let part = |rule: &str| anomaly(rule, "B", at_s).part(whole.clone(), "part of it".into());
        let findings = Findings {
            anomalies: vec![anomaly("motor-effort", "A", at_s)],
            decisions: ["motor-effort", "battery-drain", "silence", "clock-error"].map(part).to_vec(),
            ..Findings::default()
        };
        desk.lock().take(EngineTime(now.ms()), &findings).unwrap();
        let rules = Arc::new(Rules::embedded().unwrap());
        let ledger = tokio::sync::watch::channel(Ledger { lock_days: 365_000, ..Ledger::default() }).1;
        let of = Handles::of(desk.incidents(), DeskClock::new(Clock::System), Arc::clone(&rules));
        let text = scrape(Handles { desk: Some(desk), ledger, ..of });
        let samples = [
            "zenei_watched_lock_seconds_total 31536000000",
            r#"zenei_rule_findings_total{rule="motor-effort"} 1"#,
            r#"zenei_rule_findings_total{rule="silence"} 0"#,
            r#"zenei_rule_decisions_total{rule="motor-effort",reason="part_of_wider"} 1"#,
            r#"zenei_rule_incidents{rule="motor-effort",verdict="none"} 1"#,
            r#"zenei_rule_incidents{rule="motor-effort",verdict="false_positive"} 0"#,
            "zenei_causes_doubted 1",
        ];
        for sample in samples {
            assert_eq!(text.lines().filter(|line| *line == sample).count(), 1, "{sample} once in:\n{text}");
        }
        let allowed = 1_000.0 * rules.get("motor-effort").unwrap().budget_per_device_year;
        for name in ["allowed", "left"] {
            let start = format!("zenei_rule_budget_{name}{{rule=\"motor-effort\"}} ");
            let found: f64 = text.lines().find_map(|line| line.strip_prefix(&start)).unwrap().parse().unwrap();
            assert!((found - allowed).abs() < 1e-9, "{name} {found} {allowed}");
        }
    }
}
