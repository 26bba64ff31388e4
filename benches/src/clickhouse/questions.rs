//! How long the page's three queries take on a fleet's records of ninety days: one lock's last 90 days; one cohort
//! against another over 30 days; the fleet's counts by hour over 30 days. The records are generated in the engine:
//! their distribution over locks and time matters here, their values do not. The goal is 100 ms each.
use super::Ground;
use crate::cost::{Marks, quantile};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Days that the records cover.
const DAYS: u64 = 90;
/// Days that one insert generates; each insert makes a part per week.
const DAYS_AN_INSERT: u64 = 10;

/// A query and the times of its answers, ms, in the order of the runs.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The query's name.
    pub question: &'static str,
    /// Rows of the last answer.
    pub rows: usize,
    /// The time of each answer.
    pub ms: Vec<f64>,
}

#[derive(Deserialize)]
struct Count {
    rows: u64,
}

/// Generates the records and runs each query `times` times; `None` where there is no engine.
pub fn measure(locks: u64, records: u64, times: u64) -> Option<(u64, Vec<Asked>)> {
    let ground = Ground::new("bench_questions")?;
    fill(&ground, locks, records);
    let rows: Vec<Count> = ground.ask(
        "SELECT sum(rows) AS rows FROM system.parts WHERE database = '{db}' AND active AND table IN ('record', 'operation')",
    );
    let questions = [
        ("one lock's last 90 days", ONE_LOCK),
        ("one cohort against another over 30 days", TWO_COHORTS),
        ("the fleet's counts by hour over 30 days", FLEET),
    ];
    let asked = questions.into_iter().map(|(question, sql)| ask(&ground, locks, question, sql, times)).collect();
    Some((rows[0].rows, asked))
}

fn fill(ground: &Ground, locks: u64, records: u64) {
    let a_day = records.div_ceil(DAYS * locks);
    for first_day in (0..DAYS).step_by(DAYS_AN_INSERT as usize) {
        for sql in [include_str!("draw_records.sql"), include_str!("draw_operations.sql")] {
            let numbers =
                [("{locks}", locks), ("{a_day}", a_day), ("{first_day}", first_day), ("{days}", DAYS_AN_INSERT)];
            let sql = numbers.iter().fold(sql.to_owned(), |sql, (name, value)| sql.replace(name, &value.to_string()));
            ground.execute(&sql);
        }
    }
    for table in ["record", "operation", "cohort_hour"] {
        ground.execute(&format!("OPTIMIZE TABLE {{db}}.{table} FINAL"));
    }
}

fn ask(ground: &Ground, locks: u64, question: &'static str, sql: &str, times: u64) -> Asked {
    let sql = sql.replace("{db}", ground.database());
    let mut asked = Asked { question, rows: 0, ms: Vec::new() };
    for time in 0..times {
        // Another lock each time, so that no cache has its rows; 7919 is prime and no divisor of any number of locks
        // here.
        let device = format!("BL{:07}", time * 7919 % locks);
        let before = Marks::now(None);
        let rows: Vec<BTreeMap<String, serde_json::Value>> =
            ground.server.lines(&sql, &[("device", &device)]).unwrap_or_else(|error| panic!("{error}: {sql}"));
        asked.ms.push(Marks::now(None).since(before).wall_s * 1e3);
        assert!(!rows.is_empty(), "{question}: no answer");
        asked.rows = rows.len();
    }
    asked
}

/// Prints the times.
pub fn print(rows: u64, asked: &[Asked]) {
    println!("the page's questions on {rows} rows of {DAYS} days");
    for Asked { question, rows, ms } in asked {
        let [p50, p95, most] = [0.5, 0.95, 1.0].map(|share| quantile(ms, share));
        let times = ms.len();
        println!(
            "  {question:<42} p50 {p50:6.1} ms, p95 {p95:6.1} ms (goal 100), most {most:6.1} ms; {rows} rows; asked {times} times"
        );
    }
}

const ONE_LOCK: &str = "\
SELECT at, kind, battery_mv, temp_centi_c, rssi_dbm, code, peak_ma, result FROM (
    SELECT heard_at AS at, toString(kind) AS kind, battery_mv, temp_centi_c, rssi_dbm, toString(code) AS code,
        CAST(NULL, 'Nullable(UInt16)') AS peak_ma, '' AS result
    FROM {db}.record WHERE device_id = {device:String} AND heard_at >= toDateTime('2026-01-01 00:00:00', 'UTC')
    UNION ALL
    SELECT heard_at, 'op', rest_mv, CAST(NULL, 'Nullable(Int16)'), CAST(NULL, 'Nullable(Int8)'), '', peak_ma, toString(result)
    FROM {db}.operation WHERE device_id = {device:String} AND heard_at >= toDateTime('2026-01-01 00:00:00', 'UTC')
) ORDER BY at";

const TWO_COHORTS: &str = "\
SELECT value, toDate(hour) AS day, sum(records) AS records, sum(operations) AS operations, sum(failed_operations) AS failed,
    uniqCombined64Merge(12)(locks) AS locks, sumMap(errors) AS errors, quantilesTDigestMerge(0.5, 0.9, 0.99)(peak_ma) AS peak_ma,
    quantilesTDigestMerge(0.5, 0.9, 0.99)(sag_mv) AS sag_mv, quantilesTDigestMerge(0.5, 0.9, 0.99)(resistance_mohm) AS resistance_mohm
FROM {db}.cohort_hour
WHERE dimension = 'fw' AND value IN ('3.0.1', '3.0.2') AND hour >= toDateTime('2026-03-02 00:00:00', 'UTC') AND {device:String} != ''
GROUP BY value, day ORDER BY value, day";

const FLEET: &str = "\
SELECT hour, sum(records) AS records, sum(operations) AS operations, sum(failed_operations) AS failed, sumMap(errors) AS errors,
    uniqCombined64Merge(12)(locks) AS locks
FROM {db}.cohort_hour
WHERE dimension = 'fleet' AND hour >= toDateTime('2026-03-02 00:00:00', 'UTC') AND {device:String} != ''
GROUP BY hour ORDER BY hour";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_question_has_an_answer() {
        let Some((rows, asked)) = measure(20, 9_000, 2) else { return };
        assert_eq!(rows, 9_000);
        let answered: Vec<usize> = asked.iter().map(|asked| asked.rows).collect();
        // Ninety days of five records a day; thirty days of two versions; the hours of thirty days, a few of them
        // silent.
        assert!(answered[..2] == [450, 60] && (600..=720).contains(&answered[2]), "{answered:?}");
        print(rows, &asked);
    }
}
