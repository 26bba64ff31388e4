//! Compares the hourly cohorts of a shipment's hours with the records, after an attempt whose outcome was unknown, and
//! rebuilds the hours that differ: a view's table can lose or double an insert that the table of records has once. Must
//! not know rows that are on their way. Called by the step that carries a shipment.
//!
//! Others may be inserting: a difference counts once it is the same in some looks, and after a rebuild, by which their
//! rows may count twice or not at all, it looks again. In a busy hour of many gateways that may not end well; then the
//! hours stay in doubt and are looked at again when nobody inserts into them any more.
use super::ask::{Asked, ask, pause};
use super::deliver::Delivery;
use super::doubt::Doubt;
use super::load::Loaded;
use super::options::Go;
use crate::clickhouse::server_error::{Retry, ServerError};
use crate::schema::{CohortView, Target};
use arrow_array::cast::AsArray as _;
use arrow_array::types::TimestampMillisecondType;
use serde::Deserialize;
use zenei_wire::EngineTime;

/// So many looks in a row must find the same difference. A guess: with the waits between them an insert of another
/// gateway has reached both tables.
const SAME_LOOKS: u32 = 3;
/// So many looks may be taken for it. A guess.
const MAX_LOOKS: u32 = 12;
/// How often hours are rebuilt before they are put off. A guess: without other gateways once is enough.
const MAX_REBUILDS: u32 = 4;
/// Rows of records go after some days, and cohorts stay: an hour of which records may be gone is never rebuilt. Days
/// before that at which it is left alone: the server removes what is old when it merges.
const MARGIN_DAYS: i64 = 2;
const DAY_S: i64 = 86_400;

const HOUR_MS: i64 = 3_600_000;

/// The table that the views fill.
const TABLE: &str = "cohort_hour";
/// When records were heard.
const HEARD: &str = "heard_at >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC') AND heard_at < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')";
/// Which hours, in a condition of a view's select and of the table of cohorts.
const THESE_HOURS: &str = "has({hours:Array(UInt32)}, toUnixTimestamp(hour))";

/// An hour whose cohorts differ from its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
struct Hour {
    /// Its begin, s.
    hour_s: u32,
    /// Records and operations too many in the cohorts.
    records: i64,
    operations: i64,
    /// The server's time, s.
    now_s: i64,
}

/// How a step ended.
enum Step<T> {
    Done(T),
    Refused(ServerError),
    Stopped,
}

/// The earliest and the latest hearing of the records of a shipment, ms.
pub(super) fn hours_of(loaded: &Loaded) -> Option<(i64, i64)> {
    let parts = loaded.parts.iter().filter(|part| matches!(part.target, Target::Record | Target::Operation));
    let heard = parts.filter_map(|part| part.rows.column_by_name("heard_at"));
    let heard = heard.filter_map(|column| column.as_primitive_opt::<TimestampMillisecondType>());
    let extents = heard.filter_map(|times| Some((*times.values().iter().min()?, *times.values().iter().max()?)));
    extents.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}

/// Looks at the hours that are in doubt and due, and rebuilds those that differ.
pub(super) fn mend(delivery: &mut Delivery<'_>, doubt: &mut Doubt) -> Go {
    let now = delivery.shipment.to.advanced_to;
    let Some(hours) = doubt.due(now) else { return Go::On };
    for round in 0..=MAX_REBUILDS {
        let mut differing = match settled(delivery, hours) {
            Step::Done(Some(differing)) => differing,
            Step::Done(None) => break,
            Step::Refused(trouble) => {
                refused(doubt, &trouble, now, hours, round > 0);
                return Go::On;
            }
            Step::Stopped => return Go::Stop,
        };
        leave_old(delivery, &mut differing);
        if differing.is_empty() {
            doubt.settle();
            return Go::On;
        }
        if round == MAX_REBUILDS {
            break;
        }
        match rebuild(delivery, &differing) {
            Step::Done(()) => {}
            Step::Refused(trouble) => {
                refused(doubt, &trouble, now, hours, true);
                return Go::On;
            }
            Step::Stopped => return Go::Stop,
        }
    }
    put_off(doubt, now, hours, "they differ each time that they are looked at");
    Go::On
}

fn put_off(doubt: &mut Doubt, now: EngineTime, hours: (i64, i64), why: &str) {
    let (from_s, to_s) = (hours.0 / 1000, hours.1 / 1000);
    if doubt.put_off(now) {
        tracing::warn!(from_s, to_s, why, "hourly cohorts may differ from the records; they are looked at again later");
    } else {
        tracing::error!(from_s, to_s, why, "hourly cohorts may differ from the records; rebuild these hours by hand");
    }
}

/// The server does not let it: told, and shipping goes on. `is_known`: that the hours differ.
fn refused(doubt: &mut Doubt, trouble: &ServerError, now: EngineTime, hours: (i64, i64), is_known: bool) {
    let (from_s, to_s) = (hours.0 / 1000, hours.1 / 1000);
    if trouble.verdict() == Retry::Again {
        return put_off(doubt, now, hours, &trouble.to_string());
    }
    if is_known {
        tracing::error!(
            from_s, to_s, %trouble,
            "hourly cohorts differ from the records after a broken insert; rebuild these hours by hand, and grant the gateway's user \
             INSERT and ALTER DELETE on cohort_hour"
        );
    } else if doubt.tell_once() {
        tracing::warn!(
            from_s, to_s, %trouble,
            "it can't be seen whether hourly cohorts are right; grant the gateway's user SELECT on record, operation and cohort_hour"
        );
    }
    doubt.settle();
}

/// The hours that differ in the same way in some looks; `None`: they differ each time in another way.
fn settled(delivery: &mut Delivery<'_>, hours: (i64, i64)) -> Step<Option<Vec<Hour>>> {
    let sql = compare(delivery);
    let extent = Extent::new(hours);
    let (mut last, mut same) = (Vec::new(), 0);
    for look in 0..MAX_LOOKS {
        let found: Vec<Hour> = match ask(delivery, &sql, &extent.params()) {
            Asked::Answer(found) => found,
            Asked::Nothing(trouble) => return Step::Refused(trouble),
            Asked::Stopped => return Step::Stopped,
        };
        let difference: Vec<_> = found.iter().map(|hour| (hour.hour_s, hour.records, hour.operations)).collect();
        same = if difference == last { same + 1 } else { 1 };
        if difference.is_empty() || same >= SAME_LOOKS {
            return Step::Done(Some(found));
        }
        last = difference;
        let Go::On = pause(delivery, look.min(2)) else { return Step::Stopped };
    }
    Step::Done(None)
}

/// The query for the hours that differ: what the views count in the records, and what stands in their table.
fn compare(delivery: &Delivery<'_>) -> String {
    let form = delivery.form;
    let of_records = form.cohort_views().into_iter().map(|view| {
        let operations = if view.columns.iter().any(|column| column == "operations") { "operations" } else { "0" };
        format!(
            "SELECT toUnixTimestamp(hour) AS hour_s, -toInt64(records) AS more, -toInt64({operations}) AS more_operations\n\
             FROM (\n{}\n)\nUNION ALL\n",
            view.fleet_within(HEARD)
        )
    });
    format!(
        "SELECT hour_s, sum(more) AS records, sum(more_operations) AS operations, toInt64(toUnixTimestamp(now())) AS now_s\n\
         FROM (\n{}\
         SELECT toUnixTimestamp(hour) AS hour_s, toInt64(sum(records)) AS more, toInt64(sum(operations)) AS more_operations\n\
         FROM {}\n\
         WHERE dimension = 'fleet' AND toUnixTimestamp(hour) * 1000 >= {{from_ms:Int64}}\n\
         AND toUnixTimestamp(hour) * 1000 < {{to_ms:Int64}}\n\
         GROUP BY hour\n\
         )\n\
         GROUP BY hour_s\nHAVING records != 0 OR operations != 0\nORDER BY hour_s",
        of_records.collect::<String>(),
        form.table(TABLE)
    )
}

/// Leaves out hours of which records may have gone by their age.
fn leave_old(delivery: &Delivery<'_>, differing: &mut Vec<Hour>) {
    let kept = [Target::Record, Target::Operation].into_iter().filter_map(|target| delivery.form.keep_days(target));
    let days = kept.min().map_or(0, i64::from) - MARGIN_DAYS;
    differing.retain(|hour| {
        let is_young = i64::from(hour.hour_s) >= hour.now_s - days * DAY_S;
        if !is_young {
            let Hour { hour_s, records, operations, .. } = *hour;
            tracing::warn!(
                hour_s,
                records,
                operations,
                "an hour's cohorts differ from its records, which may be gone by now; they stay"
            );
        }
        is_young
    });
}

/// Removes these hours from the table of cohorts and fills them by the selects of the views. After an error that may
/// pass it is for the next look to say how far it came.
fn rebuild(delivery: &mut Delivery<'_>, differing: &[Hour]) -> Step<()> {
    for Hour { hour_s, records, operations, .. } in differing {
        tracing::warn!(
            hour_s,
            records,
            operations,
            "an hour's cohorts have these too many after a broken insert; they are rebuilt"
        );
    }
    let (form, server) = (delivery.form, &delivery.servers[0]);
    let table = form.local(TABLE);
    let inserts: Vec<String> = form.cohort_views().iter().map(|view| filled(&table, view)).collect();
    let remove = format!("ALTER TABLE {table} DELETE WHERE {THESE_HOURS} SETTINGS mutations_sync = 1");
    let begins = differing.iter().map(|hour| i64::from(hour.hour_s) * 1000);
    let (first, last) = (begins.clone().min().unwrap_or(0), begins.max().unwrap_or(0));
    let names: Vec<String> = differing.iter().map(|hour| hour.hour_s.to_string()).collect();
    let hours = format!("[{}]", names.join(","));
    let (all, none) = (Extent::new((first, last + HOUR_MS)), Extent::new((0, 0)));
    // A user who may not insert must not remove: first no hour is inserted.
    let probes = inserts.iter().map(|sql| (sql, &none, "[]"));
    let work = inserts.iter().map(|sql| (sql, &all, &*hours));
    for (sql, extent, hours) in probes.chain([(&remove, &all, &*hours)]).chain(work) {
        let mut params = extent.params().to_vec();
        params.push(("hours", hours));
        match server.execute(sql, &params) {
            Ok(()) => {}
            Err(trouble) if trouble.verdict() == Retry::Again => {
                tracing::warn!(%trouble, "the rebuild of hourly cohorts broke off; it is begun again");
                return match pause(delivery, 2) {
                    Go::On => Step::Done(()),
                    Go::Stop => Step::Stopped,
                };
            }
            Err(trouble) => return Step::Refused(trouble),
        }
    }
    Step::Done(())
}

/// The statement that fills hours as a view does. It goes by no token: the same rows may have been there before.
fn filled(table: &str, view: &CohortView) -> String {
    let columns = view.columns.join(", ");
    let condition = format!("{HEARD} AND {THESE_HOURS}");
    format!("INSERT INTO {table} ({columns}) SETTINGS insert_deduplicate = 0\n{}", view.within(&condition))
}

/// Times in the form of a query's parameters.
struct Extent {
    from_ms: String,
    to_ms: String,
}

impl Extent {
    fn new((from_ms, to_ms): (i64, i64)) -> Self {
        Self { from_ms: from_ms.to_string(), to_ms: to_ms.to_string() }
    }

    fn params(&self) -> [(&str, &str); 2] {
        [("from_ms", &self.from_ms), ("to_ms", &self.to_ms)]
    }
}
