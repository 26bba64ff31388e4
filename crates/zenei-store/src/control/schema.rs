//! The tables of the control database, and the migration of an older version to the current one. Must not know what a
//! row means. Called when a database is opened.
use super::error::ControlError;
use rusqlite::Connection;
use std::path::Path;

/// The version that this program writes (`PRAGMA user_version`).
pub const VERSION: i64 = STEPS.len() as i64;

/// "ZNEI": distinguishes our file from any other SQLite file.
const APPLICATION_ID: i64 = 0x5a4e_4549;

/// The step from version n to version n+1. A released step never changes; a new one is added.
const STEPS: [&str; 6] = [
    "
CREATE TABLE checkpoint (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    sealed_offset INTEGER NOT NULL,
    advanced_to_ms INTEGER NOT NULL,
    snapshot TEXT,
    ledger TEXT NOT NULL
) STRICT;
CREATE TABLE seal_plan (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    from_offset INTEGER NOT NULL,
    to_offset INTEGER NOT NULL,
    advanced_to_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE anomaly (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    at_ms INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE TABLE decision (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    at_ms INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE TABLE incident_event (
    number INTEGER PRIMARY KEY,
    incident TEXT NOT NULL,
    seq INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (incident, seq)
) STRICT;
CREATE TABLE outbox (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    target TEXT NOT NULL,
    incident TEXT NOT NULL,
    event_seq INTEGER NOT NULL,
    body TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    next_at_ms INTEGER NOT NULL,
    ended_at_ms INTEGER,
    outcome TEXT CHECK (outcome IN ('delivered', 'given_up')),
    remark TEXT
) STRICT;
CREATE INDEX outbox_open ON outbox (next_at_ms) WHERE ended_at_ms IS NULL;
CREATE TABLE inquiry (
    id TEXT PRIMARY KEY,
    received_at_ms INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE TABLE registry (
    device_id TEXT NOT NULL,
    valid_from_ms INTEGER NOT NULL,
    valid_to_ms INTEGER,
    body TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX registry_present ON registry (device_id) WHERE valid_to_ms IS NULL;
CREATE INDEX registry_device ON registry (device_id, valid_from_ms);
CREATE TABLE cursor (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT;
",
    "
CREATE TABLE tail (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    body TEXT NOT NULL
) STRICT;
CREATE TABLE tail_step (
    number INTEGER PRIMARY KEY,
    body TEXT NOT NULL
) STRICT;
CREATE TABLE erasure (
    number INTEGER PRIMARY KEY,
    device_id TEXT NOT NULL,
    asked_at_ms INTEGER NOT NULL,
    ended_at_ms INTEGER,
    counts TEXT
) STRICT;
CREATE UNIQUE INDEX erasure_open ON erasure (device_id) WHERE ended_at_ms IS NULL;
",
    "
ALTER TABLE incident_event ADD COLUMN chain TEXT;
CREATE TABLE open_incident (
    fingerprint TEXT PRIMARY KEY,
    incident TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE silence_event (
    number INTEGER PRIMARY KEY,
    silence TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (silence, kind)
) STRICT;
CREATE TABLE remote (
    target TEXT NOT NULL,
    incident TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (target, incident, name)
) STRICT;
CREATE INDEX outbox_order ON outbox (target, incident, number) WHERE ended_at_ms IS NULL;
",
    // Whether the version before had begun to send a waiting message is not known.
    "
ALTER TABLE outbox ADD COLUMN unanswered INTEGER NOT NULL DEFAULT 0;
UPDATE outbox SET unanswered = 1 WHERE ended_at_ms IS NULL;
CREATE INDEX outbox_told ON outbox (target, incident) WHERE outcome = 'delivered';
",
    // A message that failed before this version counts as tried from its next failure on.
    "
ALTER TABLE outbox ADD COLUMN tried_from_ms INTEGER;
CREATE INDEX outbox_ended ON outbox (target, ended_at_ms, number) WHERE ended_at_ms IS NOT NULL;
",
    "
CREATE TABLE audit (
    number INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    body TEXT NOT NULL,
    status INTEGER
) STRICT;
",
];

/// Refuses a database of a newer program, or of another one.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), ControlError> {
    let found: i64 = pragma(connection, "application_id")?;
    let version: i64 = pragma(connection, "user_version")?;
    let is_new = found == 0 && version == 0;
    if !is_new && found != APPLICATION_ID {
        return Err(ControlError::Foreign { path: path.to_path_buf(), found, allowed: APPLICATION_ID });
    }
    if version > VERSION {
        return Err(ControlError::Newer { path: path.to_path_buf(), found: version, allowed: VERSION });
    }
    Ok(())
}

/// Takes the steps that are missing, all or none.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), ControlError> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let version: i64 = pragma(&transaction, "user_version")?;
    let missing = STEPS.iter().skip(usize::try_from(version).unwrap_or(usize::MAX));
    for step in missing {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    Ok(())
}

fn pragma(connection: &Connection, name: &str) -> Result<i64, ControlError> {
    Ok(connection.pragma_query_value(None, name, |row| row.get(0))?)
}
