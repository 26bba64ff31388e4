//! `bench fleet`: runs simulated fleets, whose faults are known, through the product's own intake, engine and casebook
//! in virtual time, and measures detection. Prints the measures and judges none of them. Called by the lab's command
//! line.
//!
//! [`matching`] defines how an incident is matched to a fault; [`measure`] and [`falsely`] define what the measures
//! count.
pub mod cards;
pub mod falsely;
pub mod harmless;
pub mod matching;
pub mod measure;
pub mod play;
pub mod report;
pub mod worlds;

use crate::cli::Fleet;
use crate::error::LabError;
use firmware_sim::Scenario;
use measure::Run;
use play::{Played, play};
use report::Report;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use zenei_detect::Rules;
use zenei_store::RuleFolder;

/// Locks and days of the small benchmark.
const SMALL: (usize, f64) = (500, 30.0);
/// Locks and days of a world.
const WORLD: (usize, f64) = (2_000, 60.0);

/// A fleet to simulate.
#[derive(Clone, Debug)]
struct Plan {
    seed: u64,
    world: Option<u64>,
    scenario: Scenario,
}

/// Runs `bench fleet`.
///
/// # Errors
/// Where scenario or rules are bad, or a result can't be written.
pub fn bench(arguments: &Fleet, out: &mut impl Write) -> Result<(), LabError> {
    let mut rules = rules(arguments.rules.as_deref())?;
    if arguments.cards.is_some() {
        rules = rules.promoted();
    }
    let mut plans = plans(arguments)?;
    if arguments.harmless {
        plans.iter_mut().for_each(|plan| plan.scenario = plan.scenario.clone().harmless());
    }
    let played = play_all(&plans, &rules, arguments.jobs)?;
    let runs: Vec<Run<'_>> =
        plans.iter().zip(&played).map(|(plan, played)| Run::of(plan.seed, plan.world, played)).collect();
    let (known, moved): (Vec<Run<'_>>, Vec<Run<'_>>) = runs.into_iter().partition(|run| run.world.is_none());
    for run in known.iter().chain(&moved).filter(|_| arguments.verbose) {
        report::write_details(out, run)?;
    }
    if arguments.harmless {
        harmless::write(out, &known)?;
        harmless::write(out, &moved)?;
    }
    if let Some(folder) = &arguments.cards {
        cards::write(folder, &cards::cards(&rules, &known, if arguments.worlds.is_some() { &moved } else { &[] }))?;
    }
    if arguments.worlds.is_some() {
        return of_worlds(arguments, &moved, out);
    }
    let report = Report::of(&known);
    heading(out, &known, "the scenario's own physics")?;
    report.write(out)?;
    let mut json = serde_json::json!({"known": report::to_json(&known, &report)});
    if !moved.is_empty() {
        let other = Report::of(&moved);
        writeln!(out)?;
        heading(out, &moved, &format!("physics moved by up to {:.0} %", arguments.vary * 100.0))?;
        other.write(out)?;
        writeln!(out)?;
        report::write_compared(out, ["known", "moved"], [&report, &other])?;
        json["moved"] = report::to_json(&moved, &other);
    }
    if let Some(path) = &arguments.json {
        fs::write(path, format!("{json}\n")).map_err(|error| LabError::unwritten(path, error))?;
    }
    Ok(())
}

/// Writes what the worlds gave.
fn of_worlds(arguments: &Fleet, runs: &[Run<'_>], out: &mut impl Write) -> Result<(), LabError> {
    heading(out, runs, "seed/world, structure at random")?;
    worlds::write(out, runs)?;
    if let Some(path) = &arguments.json {
        let worlds: serde_json::Map<String, serde_json::Value> = runs
            .chunk_by(|one, other| one.world == other.world)
            .filter_map(|runs| Some((runs.first()?.world?.to_string(), report::to_json(runs, &Report::of(runs)))))
            .collect();
        let json = serde_json::json!({ "worlds": worlds });
        fs::write(path, format!("{json}\n")).map_err(|error| LabError::unwritten(path, error))?;
    }
    Ok(())
}

/// The rules of a folder, or the embedded ones.
///
/// # Errors
/// Where they can't be read or are bad.
pub(crate) fn rules(folder: Option<&Path>) -> Result<Rules, LabError> {
    let Some(folder) = folder else {
        return Rules::embedded().map_err(|error| LabError::config("a rule is bad", error));
    };
    RuleFolder::open(folder).and_then(|folder| folder.rules()).map_err(LabError::from)
}

/// Each seed in the scenario's own physics; with `vary` also in each of the changed worlds; with `worlds` in those
/// instead.
fn plans(arguments: &Fleet) -> Result<Vec<Plan>, LabError> {
    let scenario = scenario(arguments)?;
    let own = |&seed: &u64| Plan { seed, world: None, scenario: scenario.clone() };
    if let Some(text) = arguments.worlds.as_deref() {
        // A card tells of the scenario's own physics and of the worst world.
        let home = arguments.seeds.iter().filter(|_| arguments.cards.is_some()).map(own);
        return Ok(home.chain(in_worlds(arguments, &scenario, text)?).collect());
    }
    let mut plans: Vec<Plan> = arguments.seeds.iter().map(own).collect();
    if arguments.vary > 0.0 {
        for &world in &arguments.vary_seeds {
            let moved = scenario.jittered(arguments.vary, world);
            let moved = moved.map_err(|error| LabError::config("the scenario's physics can't be moved", error))?;
            plans.extend(arguments.seeds.iter().map(|&seed| Plan {
                seed,
                world: Some(world),
                scenario: moved.clone(),
            }));
        }
    }
    Ok(plans)
}

/// Each seed's fleet in each of the worlds, those of a world together.
fn in_worlds(arguments: &Fleet, scenario: &Scenario, text: &str) -> Result<Vec<Plan>, LabError> {
    let mut scenario = scenario.clone();
    if !arguments.small {
        scenario.locks = arguments.locks.unwrap_or(WORLD.0);
        scenario.days = arguments.days.unwrap_or(WORLD.1);
    }
    let mut plans = Vec::new();
    for world in worlds::parse(text).map_err(|allowed| LabError::Usage(format!("--worlds {text}: {allowed}")))? {
        let drawn = scenario.in_world(world);
        let drawn = drawn.map_err(|error| LabError::config("the world can't be simulated", error))?;
        let of_seed = |&seed: &u64| Plan { seed, world: Some(world), scenario: drawn.clone() };
        plans.extend(arguments.seeds.iter().map(of_seed));
    }
    Ok(plans)
}

fn scenario(arguments: &Fleet) -> Result<Scenario, LabError> {
    let bad = |error| LabError::config("the scenario can't be simulated", error);
    let mut scenario = match &arguments.scenario {
        None => Scenario::fleet().map_err(bad)?,
        Some(path) => {
            let text = fs::read_to_string(path).map_err(|error| LabError::unread(path, error))?;
            Scenario::from_toml(&text).map_err(bad)?
        }
    };
    if arguments.small {
        (scenario.locks, scenario.days) = SMALL;
    }
    scenario.locks = arguments.locks.unwrap_or(scenario.locks);
    scenario.days = arguments.days.unwrap_or(scenario.days);
    match (&mut scenario.faults, arguments.fault_rate) {
        (Some(density), Some(rate)) => density.rate = rate,
        (None, Some(_)) => {
            let what = "--fault-rate needs a scenario with a density of faults; this one has no [faults]";
            return Err(LabError::Usage(what.to_owned()));
        }
        (Some(_) | None, None) => {}
    }
    scenario.check().map_err(bad)?;
    Ok(scenario)
}

/// Plays every fleet, a given number of them at once; each in one thread, so that its CPU time is its own.
fn play_all(plans: &[Plan], rules: &Rules, jobs: usize) -> Result<Vec<Played>, LabError> {
    let next = AtomicUsize::new(0);
    let done: Vec<Mutex<Option<Result<Played, LabError>>>> = plans.iter().map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, plans.len().max(1)) {
            scope.spawn(|| {
                while let Some((plan, place)) = plans.iter().zip(&done).nth(next.fetch_add(1, Ordering::Relaxed)) {
                    let played = play(&plan.scenario, plan.seed, rules);
                    if let Ok(mut place) = place.lock() {
                        *place = Some(played);
                    }
                }
            });
        }
    });
    // A thread that panicked has ended the scope with its panic, so each place is filled.
    done.into_iter().filter_map(|place| place.into_inner().ok().flatten()).collect()
}

fn heading(out: &mut impl Write, runs: &[Run<'_>], physics: &str) -> Result<(), LabError> {
    let years: f64 = runs.iter().map(Run::device_years).sum();
    let seeds = runs.iter().map(|run| match run.world {
        None => run.seed.to_string(),
        Some(world) => format!("{}/{world}", run.seed),
    });
    let seeds: Vec<String> = seeds.collect();
    writeln!(out, "{} fleets, {years:.0} device-years, seeds {}, {physics}", runs.len(), seeds.join(" "))?;
    Ok(())
}

#[cfg(test)]
#[path = "fleet/bench_tests.rs"]
mod tests;
