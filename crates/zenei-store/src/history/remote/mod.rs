//! The history of many gateways: SQL over the tables that they ship to. Every value is a typed parameter, every answer
//! has a limit, and the server stops a question that takes too long. Must not know HTTP or words. Called by the
//! history.
//!
//! Where it differs from the history of one machine: a list has the locks heard in the 30 days before the newest
//! record, its `records` are those of that time, and its order by when a battery is due is of a straight line through
//! that time (the value shown is of the whole track). Cohorts count a record twice that two gateways heard. A record
//! whose label changed counts for the label that it had. A lock that was proven once counts its unproven records never,
//! not only from then on.
mod cohort;
mod list;
mod lock;
mod small;

use super::error::HistoryError;
use crate::clickhouse::Server;
use crate::schema::Form;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The end of every question. A guess: a person waits no longer; the rows are more than any answer may have.
const LIMITS: &str = " SETTINGS output_format_json_quote_64bit_integers = 0, max_execution_time = 20, \
                      max_result_rows = 1000000, join_use_nulls = 0, readonly = 2";
/// How far back a list looks, ms.
const LIST_MS: i64 = 30 * 86_400_000;

/// The server with its tables.
#[derive(Debug)]
pub(super) struct Remote {
    server: Server,
    form: Form,
}

/// A number alone.
#[derive(Deserialize)]
struct Number {
    n: i64,
}

impl Remote {
    pub(super) fn new(server: Server, form: Form) -> Self {
        Self { server, form }
    }

    /// The rows that a question gives; `{record}` and the like are its tables.
    fn ask<T: DeserializeOwned>(&self, sql: &str, params: &[(&str, &str)]) -> Result<Vec<T>, HistoryError> {
        let mut sql = sql.to_owned();
        for table in ["record", "operation", "motor_profile", "dead_letter", "cohort_hour"] {
            sql = sql.replace(&format!("[{table}]"), &self.form.table(table));
        }
        Ok(self.server.lines(&(sql + LIMITS), params)?)
    }

    pub(in crate::history) fn up_to_ms(&self) -> Result<i64, HistoryError> {
        let sql = "SELECT greatest((SELECT max(toUnixTimestamp64Milli(heard_at)) FROM [record]), \
                   (SELECT max(toUnixTimestamp64Milli(heard_at)) FROM [operation])) AS n";
        Ok(self.ask::<Number>(sql, &[])?.first().map_or(0, |number| number.n))
    }
}

/// When a row counts, ms: as `counted_at` of the other source.
const AT: &str = "if(ts_ms BETWEEN toUnixTimestamp64Milli(heard_at) - 3024000000 \
                  AND toUnixTimestamp64Milli(heard_at) + 600000, ts_ms, toUnixTimestamp64Milli(heard_at))";
/// The order in which a gateway heard rows.
const PLACE: &str = "(heard_at, spool_offset, spool_index)";
/// A voltage that a battery can have.
const POSSIBLE: &str = "BETWEEN 500 AND 18000";

/// Rows heard from a time on: the partitions before it are not read.
fn since(name: &str) -> String {
    format!("heard_at >= fromUnixTimestamp64Milli({{{name}:Int64}}, 'UTC')")
}
