//! Removes a lock from ClickHouse by synchronous mutations on every table that names it, and counts the rows that still
//! do. Must not know other stores. Called by `forget`.
use super::server::Server;
use super::server_error::ServerError;
use crate::schema::Form;
use serde::Deserialize;
use std::collections::BTreeMap;

/// How a table names a lock. `{device}` is the server's own parameter: an id is a value there, and no part of a
/// statement.
struct Naming {
    table: &'static str,
    /// Whether every server has it whole.
    everywhere: bool,
    condition: &'static str,
}

const fn sharded(table: &'static str, condition: &'static str) -> Naming {
    Naming { table, everywhere: false, condition }
}

const fn everywhere(table: &'static str, condition: &'static str) -> Naming {
    Naming { table, everywhere: true, condition }
}

const DEVICE: &str = "device_id = {device:String}";
/// A whole id within a text: the characters before and after it can't be part of an id.
const IN_BODY: &str =
    "match(body, concat('(^|[^A-Za-z0-9_-])', regexpQuoteMeta({device:String}), '([^A-Za-z0-9_-]|$)'))";
const IN_FINDING: &str = "scope_value = {device:String} OR match(why, concat('(^|[^A-Za-z0-9_-])', regexpQuoteMeta({device:String}), '([^A-Za-z0-9_-]|$)'))";
const IN_ANOMALY: &str = "device_id = {device:String} OR has(evidence.device_id, {device:String}) OR scope_value = {device:String} OR match(why, concat('(^|[^A-Za-z0-9_-])', regexpQuoteMeta({device:String}), '([^A-Za-z0-9_-]|$)'))";
/// In bytes of any encoding the end of an id is unknown: every row that may name the lock is removed.
const IN_LETTER: &str = "has(splitByChar('/', topic), {device:String}) OR position(bytes, {device:String}) > 0";

/// Every table that names a lock. The hourly states of cohorts have sketches of the number of locks, and no name.
const TABLES: [Naming; 11] = [
    sharded("record", DEVICE),
    sharded("operation", DEVICE),
    sharded("motor_profile", DEVICE),
    sharded("gap", DEVICE),
    sharded("feed", DEVICE),
    sharded("dead_letter", IN_LETTER),
    everywhere("registry", DEVICE),
    everywhere("anomaly", IN_ANOMALY),
    everywhere("decision", IN_FINDING),
    everywhere("incident_event", IN_BODY),
    everywhere("inquiry", IN_BODY),
];

#[derive(Deserialize)]
struct Count {
    rows: u64,
}

/// How many rows name a lock, by table.
///
/// # Errors
/// The server's error.
pub fn count_naming(server: &Server, form: &Form, device_id: &str) -> Result<BTreeMap<&'static str, u64>, ServerError> {
    let mut found = BTreeMap::new();
    for Naming { table, condition, .. } in TABLES {
        let sql = format!(
            "SELECT count() AS rows FROM {} WHERE {condition} SETTINGS output_format_json_quote_64bit_integers = 0",
            form.table(table)
        );
        let counts: Vec<Count> = server.lines(&sql, &[("device", device_id)])?;
        found.insert(table, counts.into_iter().next().map_or(0, |count| count.rows));
    }
    Ok(found)
}

/// Removes a lock from every table, and returns when each server has done so. Rows that another gateway ships after
/// this are not covered.
///
/// # Errors
/// The server's error; run again then.
pub fn erase(server: &Server, form: &Form, device_id: &str) -> Result<(), ServerError> {
    for Naming { table, everywhere, condition } in TABLES {
        let target = if everywhere { form.table(table) } else { form.local(table) };
        let sql =
            format!("ALTER TABLE {target}{} DELETE WHERE {condition} SETTINGS mutations_sync = 2", form.on_cluster());
        server.execute(&sql, &[("device", device_id)])?;
    }
    Ok(())
}
