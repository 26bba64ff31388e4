//! Tests of the small benchmark as a whole: it runs, counts everything once, and gives the same figures each time. Its
//! recall proves nothing.
use super::*;
use clap::Parser;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    fleet: Fleet,
}

fn arguments(line: &str) -> Fleet {
    Arguments::parse_from(std::iter::once("bench").chain(line.split_whitespace())).fleet
}

#[test]
fn the_small_benchmark_prints_every_family_and_conserves_incidents() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fleet.json");
    let mut arguments = arguments("--small --verbose");
    arguments.json = Some(path.clone());
    let mut out = Vec::new();
    bench(&arguments, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    for family in measure::BEFORE_CUSTOMER.iter().chain(&measure::SOON).chain(&measure::SHARED) {
        assert!(text.lines().any(|line| line.starts_with(family)), "{family} is not in the table:\n{text}");
    }
    let json: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let run = &json["known"]["runs"][0];
    let list = |value: &serde_json::Value| value.as_array().unwrap().len();
    let faults = run["faults"].as_array().unwrap();
    assert!(faults.len() > 15, "each family has a fault at least: {}", faults.len());
    let matched: usize = faults.iter().map(|fault| list(&fault["incidents"])).sum();
    assert!(matched > 0, "nothing at all was found:\n{text}");
    assert_eq!(list(&run["false"]) as u64, json["known"]["pooled"]["falsely"]["all"]["count"].as_u64().unwrap());
    let missed = text.lines().filter(|line| line.starts_with("missed") || line.starts_with("late  ")).count();
    assert_eq!(missed, faults.iter().filter(|fault| !fault["shortfall"].is_null()).count());
}

#[test]
fn runs_on_several_threads_give_what_runs_on_one_give() {
    let rules = Rules::embedded().unwrap();
    let plans = plans(&arguments("--locks 40 --days 6 --seeds 1,2,3 --vary 0.3 --vary-seeds 4")).unwrap();
    assert_eq!(
        plans.iter().map(|plan| (plan.seed, plan.world)).collect::<Vec<_>>(),
        [(1, None), (2, None), (3, None), (1, Some(4)), (2, Some(4)), (3, Some(4))]
    );
    assert_ne!(plans[0].scenario, plans[3].scenario);
    let kept = |played: Vec<Played>| {
        let one = |played: Played| (played.truth, played.incidents, played.cost.records, played.cost.state_bytes);
        played.into_iter().map(one).collect::<Vec<_>>()
    };
    let one = kept(play_all(&plans, &rules, 1).unwrap());
    assert_eq!(one, kept(play_all(&plans, &rules, 3).unwrap()));
    assert!(one.iter().all(|(truth, _, records, _)| !truth.is_empty() && *records > 1_000));
}

#[test]
fn what_can_not_be_asked_is_refused_with_its_code() {
    let code = |line: &str| bench(&arguments(line), &mut Vec::new()).unwrap_err().code();
    assert_eq!(code("--locks 0"), 78);
    assert_eq!(code("--vary 7"), 78);
    assert_eq!(code("--scenario /nowhere/at-all.toml"), 1);
}
