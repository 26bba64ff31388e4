//! Tests whether a server counts a repeated insert once. Otherwise every retry would double rows, so a gateway runs
//! this test before it ships. Must not know records. Called by the thread that ships, at start.
use super::server::Server;
use super::server_error::ServerError;
use crate::schema::Form;
use bytes::Bytes;
use serde::Deserialize;

/// Why nothing may be shipped to a server.
#[derive(Debug, thiserror::Error)]
pub enum SelfTestError {
    /// A doubled insert was not counted once.
    #[error(
        "an insert that was made twice under one token left {found} rows in {table}; 1 is needed. The server ignores tokens there: its deduplication \
         window is 0, or insert_deduplicate is locked to 0"
    )]
    Doubled {
        /// The table that was tried.
        table: String,
        /// How many rows it had.
        found: u64,
    },
    /// The server did not do what the test needs.
    #[error("the server can't be tried; are its tables there (zenei schema apply)?")]
    Server(#[from] ServerError),
}

#[derive(Deserialize)]
struct Probe {
    probe: String,
}

#[derive(Deserialize)]
struct Count {
    rows: u64,
}

/// Makes one insert twice and counts.
///
/// # Errors
/// See [`SelfTestError`].
pub fn self_test(server: &Server, form: &Form, gateway_id: &str) -> Result<(), SelfTestError> {
    // Drawn by the server: it might still have a token of an earlier start whose row is gone.
    let drawn: Vec<Probe> = server.lines("SELECT toString(generateUUIDv4()) AS probe", &[])?;
    let probe = drawn.into_iter().next().map(|drawn| drawn.probe).unwrap_or_default();
    let table = form.local("dedup_probe");
    let row = serde_json::json!({"gateway": gateway_id, "probe": probe}).to_string();
    let (sql, token) = (format!("INSERT INTO {table} (gateway, probe) FORMAT JSONEachRow"), format!("probe:{probe}"));
    let body = Bytes::from(row);
    server.insert(&sql, &token, &body)?;
    server.insert(&sql, &token, &body)?;
    let count = format!(
        "SELECT toUInt32(count()) AS rows FROM {table} WHERE gateway = {{gateway:String}} AND probe = {{probe:String}}"
    );
    let counts: Vec<Count> = server.lines(&count, &[("gateway", gateway_id), ("probe", &probe)])?;
    match counts.into_iter().next().map_or(0, |count| count.rows) {
        1 => Ok(()),
        found => Err(SelfTestError::Doubled { table, found }),
    }
}
