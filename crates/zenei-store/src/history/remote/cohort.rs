//! Cohorts and groups of locks: hourly sums for counts, the rows of operations for measurements. Must not know lists.
//! Called by the history.
use super::{POSSIBLE, Remote};
use crate::history::compare::{LockSums, MEANS, compared};
use crate::history::error::HistoryError;
use crate::history::packed::{BUCKET_MS, Quantity, Values, bucket_of, width};
use crate::history::types::{CohortBucket, CohortHistory, Compared, Dimension};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The most locks that are read of a group: a sample by the hash of their ids. A guess.
const SAMPLE_MAX: usize = 20_000;

type Found = (Option<i64>, Option<i64>, Option<i64>, u64);

#[derive(Deserialize)]
struct Counted {
    bucket: i64,
    records: u64,
    operations: u64,
    failed: u64,
    locks: u64,
    errors: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct MeasuredRow {
    bucket: i64,
    resistance: Found,
    peak: Found,
}

#[derive(Deserialize)]
struct GroupRow {
    device_id: String,
    days: u64,
    operations: u64,
    failed: u64,
    errors: u64,
    resistance: (Option<f64>, u64),
    peak: (Option<f64>, u64),
    effort: (Option<f64>, u64),
    battery: (Option<f64>, u64),
    total: u64,
}

impl Remote {
    pub(in crate::history) fn cohort(
        &self,
        dimension: Dimension,
        value: &str,
        from_ms: i64,
        to_ms: i64,
        points: usize,
    ) -> Result<CohortHistory, HistoryError> {
        let (from, to) = (bucket_of(from_ms), bucket_of(to_ms.saturating_sub(1)) + 1);
        let width = width(from, to, points);
        let window = Window::new(from.saturating_mul(BUCKET_MS), to.saturating_mul(BUCKET_MS));
        let width_ms = (width * BUCKET_MS).to_string();
        let params = [window.params(), vec![("value", value), ("width", &width_ms), ("dimension", dimension.as_str())]];
        let params = params.concat();
        let bucket = "intDiv(six - {from:Int64}, {width:Int64})";
        let sql = format!(
            "SELECT {bucket} AS bucket, sum(records_) AS records, sum(operations_) AS operations, sum(failed_) AS failed, \
             max(locks_) AS locks, sumMap(errors_) AS errors FROM ( \
               SELECT intDiv(toInt64(toUnixTimestamp(hour)) * 1000, {BUCKET_MS}) * {BUCKET_MS} AS six, sum(records) AS records_, \
                 sum(operations) AS operations_, sum(failed_operations) AS failed_, uniqCombined64Merge(12)(locks) AS locks_, \
                 sumMap(errors) AS errors_ FROM [cohort_hour] \
               WHERE dimension = {{dimension:String}} AND value = {{value:String}} \
               AND hour >= toDateTime(intDiv({{from:Int64}}, 1000), 'UTC') AND hour < toDateTime(intDiv({{to:Int64}}, 1000), 'UTC') \
               GROUP BY six) GROUP BY bucket ORDER BY bucket LIMIT 1000"
        );
        let mut buckets: BTreeMap<i64, CohortBucket> = BTreeMap::new();
        for row in self.ask::<Counted>(&sql, &params)? {
            let shown = CohortBucket {
                start_ms: (from + row.bucket * width) * BUCKET_MS,
                length_ms: width * BUCKET_MS,
                locks: row.locks,
                records: row.records,
                operations: row.operations,
                failed: row.failed,
                errors: row.errors,
                ..CohortBucket::default()
            };
            buckets.insert(row.bucket, shown);
        }
        let found =
            |value: &str, name: &str| format!("(min({value}), max({value}), sum({value}), count({value})) AS {name}");
        let sql = format!(
            "SELECT intDiv(toUnixTimestamp64Milli(heard_at) - {{from:Int64}}, {{width:Int64}}) AS bucket, {}, {} \
             FROM [operation] WHERE {} = {{value:String}} AND {HEARD} GROUP BY bucket ORDER BY bucket LIMIT 1000",
            found(&resistance(), "resistance"),
            found("toInt64(peak_ma)", "peak"),
            column(dimension),
        );
        for row in self.ask::<MeasuredRow>(&sql, &params)? {
            if let Some(bucket) = buckets.get_mut(&row.bucket) {
                let span = |(min, max, sum, count): Found, quantity| {
                    Some(Values { min: min?, max: max?, sum: sum?, count }.span(quantity))
                };
                bucket.resistance_mohm = span(row.resistance, Quantity::Resistance);
                bucket.peak_ma = span(row.peak, Quantity::PeakMa);
            }
        }
        Ok(CohortHistory { buckets: buckets.into_values().collect() })
    }

    pub(in crate::history) fn compare(
        &self,
        dimension: Dimension,
        a: &str,
        b: &str,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Compared, HistoryError> {
        let window = Window::new(bucket_of(from_ms) * BUCKET_MS, (bucket_of(to_ms.saturating_sub(1)) + 1) * BUCKET_MS);
        let read = |value: &str| -> Result<(u64, Vec<LockSums>), HistoryError> {
            let limit = SAMPLE_MAX.to_string();
            let params = [window.params(), vec![("value", value), ("limit", &limit)]].concat();
            let mut rows: Vec<GroupRow> = self.ask(&group_sql(column(dimension)), &params)?;
            rows.sort_by(|a, b| a.device_id.cmp(&b.device_id));
            let total = rows.first().map_or(0, |row| row.total);
            Ok((total, rows.iter().map(sums).collect()))
        };
        let ((locks_a, sums_a), (locks_b, sums_b)) = (read(a)?, read(b)?);
        Ok(compared((a, locks_a, &sums_a), (b, locks_b, &sums_b)))
    }
}

fn sums(row: &GroupRow) -> LockSums {
    let means: [_; MEANS.len()] = [row.resistance, row.peak, row.effort, row.battery];
    let means = means.map(|(sum, count)| (sum.unwrap_or(0.0), count));
    LockSums { days: row.days as f64, operations: row.operations, failed: row.failed, errors: row.errors, means }
}

/// What each lock of a group did, from both tables of rows.
fn group_sql(column: &str) -> String {
    let resistance = resistance();
    format!(
        "SELECT device_id, uniqExact(day) AS days, sum(operation_) AS operations, sum(failed_) AS failed, \
           sum(errors_) AS errors, (sum(resistance_) / 10, count(resistance_)) AS resistance, \
           (toFloat64(sum(peak_)), count(peak_)) AS peak, (sum(effort_) / 1000, count(effort_)) AS effort, \
           (toFloat64(sum(battery_)), count(battery_)) AS battery, count() OVER () AS total \
         FROM ( \
           SELECT device_id, toDate(heard_at, 'UTC') AS day, toUInt64(1) AS operation_, \
             toUInt64(result IN ('jam', 'stall', 'timeout')) AS failed_, toUInt64(0) AS errors_, \
             {resistance} AS resistance_, toInt64(peak_ma) AS peak_, \
             toInt64(mean_ma) * toInt64(duration_ms) AS effort_, CAST(NULL, 'Nullable(Int64)') AS battery_ \
           FROM [operation] WHERE {column} = {{value:String}} AND {HEARD} \
           UNION ALL \
           SELECT device_id, toDate(heard_at, 'UTC'), toUInt64(0), toUInt64(0), toUInt64(if(code = '', 0, count)), NULL, NULL, \
             NULL, toInt64(if(battery_mv {POSSIBLE}, battery_mv, NULL)) \
           FROM [record] WHERE kind != 'gateway' AND {column} = {{value:String}} AND {HEARD} \
         ) GROUP BY device_id ORDER BY cityHash64(device_id) LIMIT {{limit:UInt64}}"
    )
}

/// Tenths of mΩ, as `packed::measured`.
fn resistance() -> String {
    format!(
        "if(battery_min_mv {POSSIBLE} AND rest_mv >= battery_min_mv AND peak_ma > 0, \
         intDiv((toInt64(rest_mv) - toInt64(battery_min_mv)) * 10000, toInt64(peak_ma)), NULL)"
    )
}

const HEARD: &str = "heard_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND heard_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC')";

/// The value of a dimension in a row.
const fn column(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Site => "site",
        Dimension::Gateway => "gw",
        Dimension::Model => "model",
        Dimension::HwRev => "hw_rev",
        Dimension::Lot => "lot",
        Dimension::Fw => "fw",
        Dimension::Service => "service",
        Dimension::FwHw => "concat(fw, '+', hw_rev)",
    }
}

/// A window of hearing, as texts for parameters; within what the server's times can be.
struct Window {
    from: String,
    to: String,
}

impl Window {
    fn new(from_ms: i64, to_ms: i64) -> Self {
        let within = |ms: i64| ms.clamp(0, 4_102_444_800_000).to_string();
        Self { from: within(from_ms), to: within(to_ms) }
    }

    fn params(&self) -> Vec<(&str, &str)> {
        vec![("from", &self.from), ("to", &self.to)]
    }
}
