//! What a stored decision costs: `cargo bench -p zenei-desk --bench commit`. Each finding is one call of the desk's
//! driver on a control database in a file below the target folder, with a target that is told of everything. Prints
//! quantiles of the decision with its rows, and of the commit alone, which waits for the disk; judges nothing. The pure
//! decision is measured by `cargo bench -p zenei-incident --bench decide`.
#![expect(clippy::print_stdout, reason = "figures are what a benchmark is for")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures wall time; nothing here decides by it")]
use std::collections::BTreeSet;
use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use zenei_desk::{DeskDriver, Route};
use zenei_detect::{Findings, Urgency};
use zenei_kit::anomaly;
use zenei_store::Control;
use zenei_wire::EngineTime;

/// Incidents that are opened first, and findings that join one of them.
const INCIDENTS: i64 = 1_000;
const FINDINGS: i64 = 10_000;

/// When the driver last began to commit.
static BEGAN: Mutex<Option<Instant>> = Mutex::new(None);

/// Hears that the driver begins to commit, and nothing else.
struct Commits;

impl tracing::Subscriber for Commits {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == zenei_desk::driver::COMMITS
    }

    fn event(&self, _: &tracing::Event<'_>) {
        *BEGAN.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

fn main() -> Result<(), Box<dyn Error>> {
    tracing::subscriber::set_global_default(Commits)?;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let route = Route {
        target: "all".into(),
        min_urgency: Urgency::Low,
        domains: BTreeSet::new(),
        services: BTreeSet::new(),
        wants: |_| true,
    };
    let mut driver = DeskDriver::open(Control::open(&folder.path().join("control.db"))?, vec![route])?;
    let opened: Vec<_> = (0..INCIDENTS).map(|lock| take(&mut driver, lock, lock)).collect::<Result<_, _>>()?;
    let joined: Vec<_> =
        (0..FINDINGS).map(|at_s| take(&mut driver, at_s % INCIDENTS, INCIDENTS + at_s)).collect::<Result<_, _>>()?;
    for (what, all) in [("opens an incident", opened), ("joins an incident", joined)] {
        print(&format!("{what}: decided and written"), all.iter().map(|(decided, _)| *decided).collect());
        print(&format!("{what}: committed"), all.iter().map(|(_, committed)| *committed).collect());
    }
    Ok(())
}

/// One finding of one lock; how long it took until the commit began, and from then on, µs.
fn take(driver: &mut DeskDriver, lock: i64, at_s: i64) -> Result<(f64, f64), Box<dyn Error>> {
    let anomalies = vec![anomaly("motor-effort", &format!("lock{lock}"), at_s)];
    let findings = Findings { anomalies, ..Findings::default() };
    let start = Instant::now();
    driver.take(EngineTime(at_s * 1_000), &findings)?;
    let end = Instant::now();
    let began = BEGAN.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or("the driver committed nothing")?;
    let us = |from: Instant, to: Instant| to.duration_since(from).as_secs_f64() * 1e6;
    Ok((us(start, began), us(began, end)))
}

fn print(what: &str, mut us: Vec<f64>) {
    us.sort_by(f64::total_cmp);
    let at = |share: f64| us[((us.len() - 1) as f64 * share) as usize];
    println!("{what}: median {:.0} µs, p99 {:.0} µs, most {:.0} µs, of {}", at(0.5), at(0.99), at(1.0), us.len());
}
