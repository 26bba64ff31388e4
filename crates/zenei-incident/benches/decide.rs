//! What a decision costs: `cargo bench -p zenei-incident --bench decide`. A fleet's findings meet a casebook that has
//! open incidents, silences and a past; each finding is one call, as the desk makes it, without the store. Prints
//! quantiles in microseconds and judges nothing; the commit is measured by `cargo bench -p zenei-desk --bench commit`.
#![expect(clippy::print_stdout, reason = "figures are what a benchmark is for")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures wall time; nothing here decides by it")]
use std::time::Instant;
use zenei_detect::Findings;
use zenei_incident::{ApplyError, Casebook, Matcher, Silence, SilenceKind};
use zenei_kit::anomaly;
use zenei_wire::EngineTime;

/// Incidents in the casebook, silences in force, and findings measured.
const INCIDENTS: i64 = 2_000;
const SILENCES: i64 = 100;
const FINDINGS: i64 = 200_000;

fn main() {
    let mut book = Casebook::default();
    let mut draft = book.draft();
    for lock in 0..SILENCES {
        let matches = Matcher { device: Some(format!("silent{lock}")), ..Matcher::default() };
        let times = (0, 86_400_000);
        match Silence::new(SilenceKind::Maintenance, matches, times, ("swap", "bench"), EngineTime(0)) {
            Ok(silence) => _ = draft.add_silence(silence, EngineTime(0)),
            Err(error) => println!("{error}"),
        }
    }
    let changes = draft.into_changes();
    book.absorb(changes);
    let mut opened_us: Vec<f64> = (0..INCIDENTS).map(|lock| decide(&mut book, lock, lock)).collect();
    let mut joined_us: Vec<f64> =
        (0..FINDINGS).map(|at_s| decide(&mut book, at_s % INCIDENTS, INCIDENTS + at_s)).collect();
    print("opens an incident", &mut opened_us);
    print("joins an incident", &mut joined_us);
}

/// One finding of one lock, decided and absorbed; µs.
fn decide(book: &mut Casebook, lock: i64, at_s: i64) -> f64 {
    let anomalies = vec![anomaly("motor_effort", &format!("lock{lock}"), at_s)];
    let findings = Findings { anomalies, ..Findings::default() };
    let began = Instant::now();
    let mut draft = book.draft();
    let taken = draft.take(&findings, |_| Ok::<bool, ApplyError>(true)).is_ok();
    let changes = draft.into_changes();
    book.absorb(changes);
    let spent = began.elapsed();
    if taken { spent.as_secs_f64() * 1e6 } else { f64::NAN }
}

fn print(what: &str, us: &mut [f64]) {
    us.sort_by(f64::total_cmp);
    let at = |share: f64| us[((us.len() - 1) as f64 * share) as usize];
    println!(
        "{what}: median {:.1} µs, p99 {:.1} µs, most {:.1} µs, of {} (wanted: p99 below 1000 µs)",
        at(0.5),
        at(0.99),
        at(1.0),
        us.len()
    );
}
