//! Counts the rows of one table that a shipment brought, after an attempt whose outcome was unknown, and inserts what
//! is missing under a new token: a server that died between noting a token and adding its rows takes every retry under
//! the old one for rows that it has. Must not know views. Called by the step that carries a shipment.
use super::ask::{Asked, ask};
use super::deliver::{Delivery, InsertEnd, RefusedRows};
use super::doubt::Doubt;
use super::error::ShipError;
use super::load::Part;
use super::options::Go;
use crate::clickhouse::server_error::ServerError;
use crate::schema::Target;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{TimestampMillisecondType, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{Array as _, RecordBatch, UInt32Array};
use arrow_schema::ArrowError;
use arrow_select::take::take_record_batch;
use serde::Deserialize;
use std::collections::BTreeMap;

/// How often missing rows of one table are inserted again. Each needs a crash of the server in the same few
/// microseconds to be lost.
const MAX_AGAIN: u32 = 3;
const DAY_MS: i64 = 86_400_000;

/// What distinguishes a row among those of its gateway and table: its place in the spool and the time of its hearing;
/// of a gap, its first numbers and the time.
type Key = (u64, u64, i64);

/// The columns of a table by which its rows are recognized.
struct Place {
    first: &'static str,
    second: &'static str,
    at: &'static str,
}

/// `None` for the table that has one row of each shipment: the next row replaces a missing one.
fn place_of(target: Target) -> Option<Place> {
    match target {
        Target::Record | Target::Operation | Target::MotorProfile | Target::DeadLetter | Target::Feed => {
            Some(Place { first: "spool_offset", second: "spool_index", at: "heard_at" })
        }
        Target::Gap => Some(Place { first: "boot", second: "from_seq", at: "at" }),
        Target::Shipment => None,
    }
}

#[derive(Deserialize)]
struct Found {
    first: u64,
    second: u64,
    at_ms: i64,
    rows: u64,
}

#[derive(Deserialize)]
struct Clock {
    now_ms: i64,
}

/// How what the server has differs from what was sent.
#[derive(Debug, Default, PartialEq, Eq)]
struct Difference {
    /// The numbers of the rows that it does not have.
    missing: Vec<u32>,
    /// Rows that it has more than once, beyond the first.
    doubled: u64,
}

/// Looks at the rows of a part, but for those that were refused, and inserts what is missing.
pub(super) fn recount(
    delivery: &mut Delivery<'_>,
    part: &Part,
    refused: &RefusedRows,
    doubt: &mut Doubt,
) -> Result<Go, ShipError> {
    let Some(place) = place_of(part.target) else { return Ok(Go::On) };
    let sent = sent(&part.rows, &place, refused)?;
    let table = part.target.as_str();
    for again in 1..=MAX_AGAIN + 1 {
        let difference = match difference(delivery, part.target, &place, &sent) {
            Asked::Answer(difference) => difference,
            Asked::Nothing(trouble) => {
                tell(doubt, table, &trouble);
                return Ok(Go::On);
            }
            Asked::Stopped => return Ok(Go::Stop),
        };
        let Difference { missing, doubled } = difference;
        if doubled > 0 {
            tracing::warn!(
                table,
                rows = doubled,
                "ClickHouse has rows of a broken insert twice; readers count each once"
            );
        }
        if missing.is_empty() {
            return Ok(Go::On);
        }
        let rows = missing.len();
        if again > MAX_AGAIN {
            tracing::error!(table, rows, "ClickHouse says that it took rows, and does not have them; read its log");
            return Ok(Go::On);
        }
        tracing::warn!(table, rows, "ClickHouse lost rows of an insert that broke off; they are inserted again");
        let token = format!("{}:again-{again}", delivery.token(part.target));
        let rows = take_record_batch(&part.rows, &UInt32Array::from(missing))?;
        if let InsertEnd::Stopped = delivery.insert(part.target, part.shard, &rows, &token, true)? {
            return Ok(Go::Stop);
        }
        // Views that had the rows have them twice now.
        delivery.failed = delivery.failed.saturating_add(1);
    }
    Ok(Go::On)
}

fn tell(doubt: &mut Doubt, table: &str, trouble: &ServerError) {
    if doubt.tell_once() {
        tracing::warn!(
            table,
            %trouble,
            "it can't be seen whether ClickHouse has every row of a broken insert; grant the gateway's user SELECT on its tables"
        );
    }
}

/// The keys of the rows that were sent, with their numbers.
fn sent(rows: &RecordBatch, place: &Place, refused: &RefusedRows) -> Result<Vec<(Key, u32)>, ArrowError> {
    let [first, second, at] = [place.first, place.second, place.at].map(|name| whole(rows, name));
    let (first, second, at) = (first?, second?, at?);
    let all = first.into_iter().zip(second).zip(at).zip(0_u32..);
    let keys = all.map(|(((first, second), at), number)| {
        ((u64::try_from(first).unwrap_or(0), u64::try_from(second).unwrap_or(0), at), number)
    });
    Ok(keys.filter(|(_, number)| !refused.iter().any(|(row, _)| u32::try_from(*row) == Ok(*number))).collect())
}

/// A column of whole numbers.
fn whole(rows: &RecordBatch, name: &str) -> Result<Vec<i64>, ArrowError> {
    let column = rows.column_by_name(name).ok_or_else(|| ArrowError::SchemaError(format!("no column {name}")))?;
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    if let Some(column) = column.as_primitive_opt::<UInt64Type>() {
        return Ok(column.values().iter().map(|value| signed(*value)).collect());
    }
    if let Some(column) = column.as_primitive_opt::<UInt32Type>() {
        return Ok(column.values().iter().map(|value| i64::from(*value)).collect());
    }
    if let Some(column) = column.as_primitive_opt::<UInt16Type>() {
        return Ok(column.values().iter().map(|value| i64::from(*value)).collect());
    }
    let times = column.as_primitive_opt::<TimestampMillisecondType>();
    let times = times.ok_or_else(|| ArrowError::SchemaError(format!("{name} is {}", column.data_type())))?;
    Ok(times.values().to_vec())
}

/// How what the server has differs from what was sent, but for rows that are old enough to be gone.
fn difference(delivery: &mut Delivery<'_>, target: Target, place: &Place, sent: &[(Key, u32)]) -> Asked<Difference> {
    let found = match found(delivery, target, place, sent) {
        Asked::Answer(found) => found,
        Asked::Nothing(trouble) => return Asked::Nothing(trouble),
        Asked::Stopped => return Asked::Stopped,
    };
    let mut difference = compared(sent, &found);
    let keep = delivery.form.keep_days(target).filter(|_| !difference.missing.is_empty());
    if let Some(days) = keep {
        let clock: Vec<Clock> = match ask(delivery, "SELECT toInt64(toUnixTimestamp(now())) * 1000 AS now_ms", &[]) {
            Asked::Answer(clock) => clock,
            Asked::Nothing(trouble) => return Asked::Nothing(trouble),
            Asked::Stopped => return Asked::Stopped,
        };
        // A day less: the server removes what is old when it merges.
        let oldest = clock.first().map_or(i64::MAX, |clock| clock.now_ms - (i64::from(days) - 1) * DAY_MS);
        let heard: BTreeMap<u32, i64> = sent.iter().map(|(key, number)| (*number, key.2)).collect();
        difference.missing.retain(|number| heard.get(number).is_some_and(|at| *at >= oldest));
    }
    Asked::Answer(difference)
}

/// The rows of this gateway that the server has in the extent of those that were sent.
fn found(delivery: &mut Delivery<'_>, target: Target, place: &Place, sent: &[(Key, u32)]) -> Asked<Vec<Found>> {
    let Place { first, second, at } = place;
    let extent = |of: fn(&Key) -> i64| {
        let values = sent.iter().map(|(key, _)| of(key));
        (values.clone().min().unwrap_or(0).to_string(), values.max().unwrap_or(0).to_string())
    };
    let (from_ms, to_ms) = extent(|key| key.2);
    let (lowest, highest) = extent(|key| i64::try_from(key.0).unwrap_or(i64::MAX));
    let sql = format!(
        "SELECT toUInt64({first}) AS first, toUInt64({second}) AS second, toUnixTimestamp64Milli({at}) AS at_ms,\n\
         count() AS rows\n\
         FROM {}\n\
         WHERE gateway = {{gateway:String}} AND {at} >= fromUnixTimestamp64Milli({{from_ms:Int64}}, 'UTC')\n\
         AND {at} <= fromUnixTimestamp64Milli({{to_ms:Int64}}, 'UTC')\n\
         AND {first} >= {{lowest:UInt64}} AND {first} <= {{highest:UInt64}}\n\
         GROUP BY first, second, at_ms",
        delivery.form.table(target.as_str())
    );
    let gateway = delivery.gateway_id;
    let params = [
        ("gateway", gateway),
        ("from_ms", &*from_ms),
        ("to_ms", &*to_ms),
        ("lowest", &*lowest),
        ("highest", &*highest),
    ];
    ask(delivery, &sql, &params)
}

fn compared(sent: &[(Key, u32)], found: &[Found]) -> Difference {
    let mut there: BTreeMap<Key, u64> = BTreeMap::new();
    for row in found {
        *there.entry((row.first, row.second, row.at_ms)).or_default() += row.rows;
    }
    let mut difference = Difference::default();
    for (key, number) in sent {
        match there.get_mut(key) {
            Some(rows @ 1..) => *rows -= 1,
            Some(0) | None => difference.missing.push(*number),
        }
    }
    let keys: BTreeMap<&Key, ()> = sent.iter().map(|(key, _)| (key, ())).collect();
    difference.doubled = keys.keys().filter_map(|key| there.get(key)).sum();
    difference
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_missing_or_doubled_one_by_one_and_those_of_other_shipments_do_not_count() {
        let sent = [((5, 0, 90), 0), ((5, 1, 90), 1), ((6, 0, 91), 2), ((6, 0, 91), 3)];
        let found = |first, second, at_ms, rows| Found { first, second, at_ms, rows };
        let whole = [found(5, 0, 90, 1), found(5, 1, 90, 1), found(6, 0, 91, 2), found(7, 0, 91, 9)];
        assert_eq!(compared(&sent, &whole), Difference::default());
        let spoiled = [found(5, 0, 90, 3), found(5, 1, 89, 1), found(6, 0, 91, 1)];
        assert_eq!(compared(&sent, &spoiled), Difference { missing: vec![1, 3], doubled: 2 });
    }
}
