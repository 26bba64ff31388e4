//! Removes a lock from the history: every row that names it. Sums of cohorts stay; they name no lock. Must not know the
//! store. Called by `forget`, while nobody follows.
use super::db::Db;
use super::schema;
use crate::history::error::HistoryError;
use rusqlite::{OptionalExtension as _, params};
use std::path::Path;

/// Dead letters that name a lock, or that are not shown whole, so that the end of a name may be missing.
const NAMING: &str = "instr(topic, ?1) > 0 OR instr(bytes, CAST(?1 AS BLOB)) > 0 OR instr(detail, ?1) > 0 OR length > \
                      length(bytes)";

/// Removes a lock; returns how many rows there were. A file that is broken or of another version is removed whole: it
/// is made anew from the store, where the lock is no more.
///
/// # Errors
/// [`HistoryError::Local`]; nothing is removed then.
pub fn erase(path: &Path, device_id: &str) -> Result<u64, HistoryError> {
    if !path.is_file() {
        return Ok(0);
    }
    let failed = |source| HistoryError::Local { path: path.to_path_buf(), source };
    let mut connection = schema::open(path).map_err(failed)?;
    let transaction = connection.transaction().map_err(failed)?;
    let removed = {
        let db = Db { connection: &transaction, path };
        let sql = "SELECT number FROM lock WHERE device_id = ?1";
        let number: Option<i64> =
            db.ask(|connection| connection.query_row(sql, [device_id], |row| row.get(0)).optional())?;
        let mut removed = 0;
        let mut remove = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
            removed += db.ask(|connection| connection.execute(sql, values))? as u64;
            Ok::<_, HistoryError>(())
        };
        if let Some(number) = number {
            for table in ["bucket", "firmware", "lock_state", "profile"] {
                remove(&format!("DELETE FROM {table} WHERE lock = ?1"), &[&number])?;
            }
            remove("DELETE FROM lock WHERE number = ?1", &[&number])?;
        }
        remove("DELETE FROM reception WHERE device_id = ?1", &[&device_id])?;
        remove(&format!("DELETE FROM dead_letter WHERE {NAMING}"), &[&device_id])?;
        removed
    };
    transaction.commit().map_err(failed)?;
    // Rows that were changed have left copies in pages: the file is written anew without them.
    connection.execute_batch("VACUUM").map_err(failed)?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(failed)?;
    Ok(removed)
}

/// How many rows name a lock.
///
/// # Errors
/// [`HistoryError::Local`].
pub fn count_naming(path: &Path, device_id: &str) -> Result<u64, HistoryError> {
    let failed = |source| HistoryError::Local { path: path.to_path_buf(), source };
    let Some(connection) = schema::open_read_only(path).map_err(failed)? else { return Ok(0) };
    let sql = format!(
        "SELECT (SELECT count(*) FROM lock WHERE device_id = ?1) + (SELECT count(*) FROM reception WHERE device_id = ?1) \
         + (SELECT count(*) FROM dead_letter WHERE {NAMING})"
    );
    let found: i64 = connection.query_row(&sql, params![device_id], |row| row.get(0)).map_err(failed)?;
    Ok(found.unsigned_abs())
}
