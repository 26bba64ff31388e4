//! The tables of the local source. Must not know what a row means. Called when the file is opened.
//!
//! The file is derived from the sealed ranges of the Parquet store: it may be removed at any time, and a file of
//! another version is made anew instead of being migrated.
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// The version of the tables and of what is packed in them (`PRAGMA user_version`). A change of either raises it.
const VERSION: i64 = 1;
/// "ZNHI": distinguishes the file from any other SQLite file.
const APPLICATION_ID: i64 = 0x5a4e_4849;
/// How long a reader waits for a lock. A guess: the follower's longest transaction takes a second or two.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Memory for pages, KiB. A guess: the inner pages and the list of 100,000 locks fit.
const CACHE_KIB: i64 = 16_384;

const TABLES: &str = "
CREATE TABLE place (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE word (number INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE lock (
    number INTEGER PRIMARY KEY,
    device_id TEXT NOT NULL UNIQUE,
    site TEXT NOT NULL,
    gateway TEXT NOT NULL,
    model TEXT NOT NULL,
    hw_rev TEXT NOT NULL,
    lot TEXT NOT NULL,
    fw TEXT NOT NULL,
    service TEXT NOT NULL,
    heard_ms INTEGER NOT NULL,
    battery_pct INTEGER,
    battery_mv INTEGER,
    rssi_dbm INTEGER,
    records INTEGER NOT NULL,
    errors_7d INTEGER NOT NULL,
    authenticated INTEGER NOT NULL,
    due_early_ms INTEGER,
    due_likely_ms INTEGER,
    due_late_ms INTEGER
) STRICT;
CREATE INDEX lock_site ON lock (site, device_id);
CREATE INDEX lock_gateway ON lock (gateway, device_id);
CREATE INDEX lock_model ON lock (model, device_id);
CREATE INDEX lock_hw_rev ON lock (hw_rev, device_id);
CREATE INDEX lock_lot ON lock (lot, device_id);
CREATE INDEX lock_fw ON lock (fw, hw_rev, device_id);
CREATE INDEX lock_service ON lock (service, device_id);
CREATE INDEX lock_heard ON lock (heard_ms, device_id);
CREATE INDEX lock_battery ON lock (battery_pct, device_id) WHERE battery_pct IS NOT NULL;
CREATE INDEX lock_signal ON lock (rssi_dbm, device_id) WHERE rssi_dbm IS NOT NULL;
CREATE INDEX lock_due ON lock (due_likely_ms, device_id) WHERE due_likely_ms IS NOT NULL;
CREATE INDEX lock_errors ON lock (errors_7d DESC, device_id) WHERE errors_7d > 0;
CREATE TABLE lock_state (lock INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE profile (lock INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE bucket (
    lock INTEGER NOT NULL, at INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (lock, at)
) STRICT, WITHOUT ROWID;
CREATE TABLE cohort (
    dimension INTEGER NOT NULL, value INTEGER NOT NULL, at INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (dimension, value, at)
) STRICT, WITHOUT ROWID;
CREATE TABLE firmware (
    lock INTEGER NOT NULL, at_ms INTEGER NOT NULL, was TEXT NOT NULL, became TEXT NOT NULL,
    PRIMARY KEY (lock, at_ms)
) STRICT, WITHOUT ROWID;
CREATE INDEX firmware_was ON firmware (was, at_ms);
CREATE INDEX firmware_became ON firmware (became, at_ms);
CREATE TABLE gateway (id TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE reception (
    device_id TEXT NOT NULL, gateway TEXT NOT NULL, heard_ms INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (device_id, gateway)
) STRICT, WITHOUT ROWID;
CREATE INDEX reception_heard ON reception (heard_ms);
CREATE TABLE dead_letter (
    number INTEGER PRIMARY KEY AUTOINCREMENT, reason TEXT NOT NULL, detail TEXT NOT NULL, topic TEXT NOT NULL,
    at_ms INTEGER NOT NULL, bytes BLOB NOT NULL, length INTEGER NOT NULL, cut INTEGER NOT NULL
) STRICT;
";

/// Opens the file to write; makes it, or makes it anew where it is of another version.
pub(super) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = match Connection::open(path).and_then(|connection| Ok((is_ours(&connection)?, connection))) {
        Ok((true, connection)) => return prepared(connection),
        Ok((false, connection)) => connection,
        // Not a database, or a broken one.
        Err(error) if is_broken(&error) => {
            tracing::warn!(path = %path.display(), %error, "the history can't be read and is made anew");
            remove(path);
            Connection::open(path)?
        }
        Err(error) => return Err(error),
    };
    let is_new: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let connection = if is_new == 0 {
        connection
    } else {
        drop(connection);
        remove(path);
        Connection::open(path)?
    };
    let connection = prepared(connection)?;
    let made = format!(
        "BEGIN IMMEDIATE; {TABLES} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; COMMIT;"
    );
    connection.execute_batch(&made)?;
    Ok(connection)
}

/// Opens the file to read; `None` where there is none, or none of this version yet.
pub(super) fn open_read_only(path: &Path) -> rusqlite::Result<Option<Connection>> {
    if !path.is_file() {
        return Ok(None);
    }
    // SQLITE_OPEN_READ_ONLY can't read a WAL whose index is not there; a reader writes nothing but that index.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    if !is_ours(&connection)? {
        return Ok(None);
    }
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "query_only", "ON")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(Some(connection))
}

/// Whether SQLite says that the file is no database or a broken one.
pub(super) fn is_broken(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt))
}

/// Removes the file and what SQLite keeps beside it; what is not there is removed already.
pub(super) fn remove(path: &Path) {
    for ending in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        let _ = std::fs::remove_file(name);
    }
}

fn is_ours(connection: &Connection) -> rusqlite::Result<bool> {
    let found: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok((found, version) == (APPLICATION_ID, VERSION))
}

/// A power cut may take the last transactions, never their order: the cursor is in the same transaction as its rows.
fn prepared(connection: Connection) -> rusqlite::Result<Connection> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}
