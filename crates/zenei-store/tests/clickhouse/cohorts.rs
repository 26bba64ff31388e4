//! Test: the hourly states of cohorts equal a plain count over the rows.
use super::ground::{Ground, NOON_MS};
use super::rows::{error, fleet, op, row, state};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use zenei_detect::{Row, Sym};
use zenei_kit::Dice;
use zenei_wire::{Adv, Body, GatewayTime, Millivolts, OpResult};

const HOUR_MS: i64 = 3_600_000;

#[derive(Debug, Default, Deserialize, PartialEq)]
struct Cohort {
    records: u64,
    operations: u64,
    failed: u64,
    locks: u64,
    errors: BTreeMap<String, u64>,
    peaks: Vec<Option<f64>>,
    sags: Vec<Option<f64>>,
    resistances: Vec<Option<f64>>,
}

#[derive(Debug, Deserialize)]
struct Line {
    dimension: String,
    value: String,
    hour_ms: i64,
    #[serde(flatten)]
    cohort: Cohort,
}

type Key = (String, String, i64);
/// Counts, locks, and measurements: peaks, sags, resistances.
type Counting = (Cohort, BTreeSet<u32>, [Vec<f64>; 3]);

fn below(dice: &mut Dice, end: u32) -> u32 {
    u32::try_from(dice.below(end.into())).unwrap()
}

fn drawn(dice: &mut Dice, from: u32, count: u32) -> Vec<Row> {
    let one = |seq: u32| {
        let device = below(dice, 5);
        let mut row = match below(dice, 5) {
            0 => error(device, seq, ["jam", "motor_stall"][below(dice, 2) as usize], 1 + below(dice, 9)),
            1 => state(device, seq, 2700 + u16::try_from(below(dice, 300)).unwrap()),
            2 => {
                let battery_mv = Some(Millivolts(2700 + u16::try_from(below(dice, 300)).unwrap()));
                row(device, seq, Body::Adv(Adv { battery_mv, ..Adv::default() }))
            }
            _ => {
                let result = [OpResult::Ok, OpResult::Ok, OpResult::Jam, OpResult::Rejected][below(dice, 4) as usize];
                let [peak, low] = [below(dice, 900), 2000 + below(dice, 600)].map(|n| u16::try_from(n).unwrap());
                op(device, seq, peak, low, result)
            }
        };
        row.heard_at = GatewayTime(NOON_MS + i64::from(below(dice, 3)) * HOUR_MS);
        row.labels.fw = Sym([5, 6, 0][below(dice, 3) as usize]);
        row.labels.hw_rev = Sym([3, 0][below(dice, 2) as usize]);
        let labels = &mut row.labels;
        let others =
            [&mut labels.model, &mut labels.lot, &mut labels.service, &mut labels.gw, &mut labels.client_version];
        for (label, word) in others.into_iter().zip([2, 4, 6, 7, 8]) {
            *label = Sym([word, 0][below(dice, 2) as usize]);
        }
        row
    };
    (from..from + count).map(one).collect()
}

/// Counts row by row, in the order of release.
fn oracle(rows: &[Row]) -> BTreeMap<Key, Cohort> {
    let fleet = fleet();
    let mut cohorts: BTreeMap<Key, Counting> = BTreeMap::new();
    let mut rest: BTreeMap<u32, f64> = BTreeMap::new();
    for row in rows {
        let word = |sym: Sym| fleet.word(sym).unwrap_or("").to_owned();
        let (fw, hw_rev) = (word(row.labels.fw), word(row.labels.hw_rev));
        let both = if fw.is_empty() || hw_rev.is_empty() { String::new() } else { format!("{fw}+{hw_rev}") };
        if let Body::State(state) = &row.body {
            rest.extend(state.battery_mv.map(|mv| (row.device.0, f64::from(mv.0))));
        }
        if let Body::Adv(adv) = &row.body {
            // An advertisement has a voltage, but is counted nowhere.
            rest.extend(adv.battery_mv.map(|mv| (row.device.0, f64::from(mv.0))));
            continue;
        }
        let labels = &row.labels;
        let keys = [
            ("fleet", "all".to_owned()),
            ("site", word(row.site)),
            ("gateway", word(labels.gw)),
            ("model", word(labels.model)),
            ("lot", word(labels.lot)),
            ("service", word(labels.service)),
            ("client_version", word(labels.client_version)),
            ("fw", fw),
            ("hw_rev", hw_rev),
            ("fw_hw", both),
        ];
        for (dimension, value) in keys.into_iter().filter(|(_, value)| !value.is_empty()) {
            let hour_ms = row.heard_at.ms() / HOUR_MS * HOUR_MS;
            let (cohort, locks, measured) = cohorts.entry((dimension.into(), value, hour_ms)).or_default();
            cohort.records += 1;
            locks.insert(row.device.0);
            match &row.body {
                Body::Error(error) => {
                    *cohort.errors.entry(error.code.to_string()).or_default() += u64::from(error.count)
                }
                Body::Op(op) => {
                    let failed = matches!(op.result, OpResult::Jam | OpResult::Stall | OpResult::Timeout);
                    cohort.operations += 1;
                    cohort.failed += u64::from(failed);
                    let peak = f64::from(op.peak_ma.unwrap().0);
                    measured[0].push(peak);
                    let sag = rest.get(&row.device.0).map(|rest| rest - f64::from(op.battery_min_mv.unwrap().0));
                    measured[1].extend(sag);
                    measured[2].extend(sag.filter(|_| peak > 0.0).map(|sag| sag * 1000.0 / peak));
                }
                Body::State(_) | Body::Event(_) | Body::Gateway(_) | Body::Adv(_) => {}
            }
        }
    }
    let whole = |(key, (mut cohort, locks, [peaks, sags, resistances])): (Key, Counting)| {
        cohort.locks = locks.len() as u64;
        (cohort.peaks, cohort.sags, cohort.resistances) = (middle(peaks), middle(sags), middle(resistances));
        (key, cohort)
    };
    cohorts.into_iter().map(whole).collect()
}

/// The values between which a median counts as correct: those within two percent of its rank, the error allowed to a
/// digest. A guess.
fn middle(mut values: Vec<f64>) -> Vec<Option<f64>> {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    [last * 48 / 100, (last * 52).div_ceil(100)].map(|at| values.get(at).copied()).to_vec()
}

#[test]
fn hourly_states_equal_a_plain_count_over_the_rows() {
    let Some(mut ground) = Ground::new("cohorts") else { return };
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut all = Vec::new();
    for range in 0..6 {
        let rows = drawn(&mut dice, range * 400, 400);
        ground.seal(&fleet(), &rows, &[], &[]);
        all.extend(rows);
    }
    ground.ship();
    let quantiles =
        |column: &str| format!("arrayMap(q -> if(isNaN(q), NULL, q), quantilesTDigestMerge(0.5, 0.9, 0.99)({column}))");
    let sql = format!(
        "SELECT dimension, value, toUnixTimestamp(hour) * 1000 AS hour_ms, sum(records) AS records, sum(operations) AS operations,
             sum(failed_operations) AS failed, uniqCombined64Merge(12)(locks) AS locks, sumMap(errors) AS errors,
             {} AS peaks, {} AS sags, {} AS resistances
         FROM {{db}}.cohort_hour GROUP BY dimension, value, hour",
        quantiles("peak_ma"), quantiles("sag_mv"), quantiles("resistance_mohm")
    );
    let lines: Vec<Line> = ground.ask(&sql);
    let mut found: BTreeMap<Key, Cohort> =
        lines.into_iter().map(|line| ((line.dimension, line.value, line.hour_ms), line.cohort)).collect();
    for (key, expected) in oracle(&all) {
        let cohort = found.remove(&key).unwrap_or_else(|| panic!("{key:?} is missing"));
        let counts = |cohort: &Cohort| (cohort.records, cohort.operations, cohort.failed, cohort.locks);
        assert_eq!(counts(&cohort), counts(&expected), "{key:?}");
        assert_eq!(cohort.errors, expected.errors, "{key:?}");
        let pairs = [
            (&cohort.peaks, &expected.peaks),
            (&cohort.sags, &expected.sags),
            (&cohort.resistances, &expected.resistances),
        ];
        for (found, expected) in pairs {
            has_median(found, expected, &key);
        }
    }
    assert!(found.is_empty(), "{found:?}");
}

fn has_median(found: &[Option<f64>], expected: &[Option<f64>], key: &Key) {
    let [Some(lower), Some(upper)] = expected else {
        assert_eq!(found[0], None, "{key:?}");
        return;
    };
    // States hold 32-bit floats.
    let found = found[0].unwrap();
    let slack = found.abs() * f64::from(f32::EPSILON);
    assert!(lower - slack <= found && found <= upper + slack, "{key:?}: {found}, not in {lower}..{upper}");
}
