//! Who changed what over HTTP: one row a request, begun before it is carried out and ended with its answer. Must not
//! know a route. Called by the desk's gate, which writes it, and by `token audit`.
use super::{Control, ControlError, Txn};
use rusqlite::params;
use serde::{Deserialize, Serialize};

/// The first version of the database that has the table.
const FIRST_VERSION: i64 = 6;

/// A request that changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// When it came, ms since 1970.
    pub at_ms: i64,
    /// The name of the token that asked.
    pub name: String,
    /// Its role at that time.
    pub role: String,
    /// The method.
    pub method: String,
    /// The path, without what stands behind `?`.
    pub path: String,
    /// What it is about: an incident's id or a silence's; empty where the path names none.
    pub subject: String,
}

/// What of it is kept as JSON, which `forget` clears.
#[derive(Serialize, Deserialize)]
struct Body {
    name: String,
    role: String,
    method: String,
    path: String,
    subject: String,
}

/// A row as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audited {
    /// Its number, from 1, in the order in which the requests came.
    pub number: u64,
    /// The request.
    pub row: AuditRow,
    /// The HTTP status of its answer; `None`: it ended without one, and may have been carried out.
    pub status: Option<u16>,
}

impl Control {
    /// The newest rows before this number (of all, where it is `None`), newest first, at most `limit`.
    ///
    /// # Errors
    /// [`ControlError::BadRow`], [`ControlError::Sqlite`].
    pub fn audit(&self, before: Option<u64>, limit: u32) -> Result<Vec<Audited>, ControlError> {
        // A database of the version before, which is read and not migrated, has no such table.
        let version: i64 = self.connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version < FIRST_VERSION {
            return Ok(Vec::new());
        }
        let before = before.and_then(|number| i64::try_from(number).ok()).unwrap_or(i64::MAX);
        let sql = "SELECT number, at_ms, body, status FROM audit WHERE number < ?1 ORDER BY number DESC LIMIT ?2";
        self.all(sql, params![before, limit], |row| {
            let number: i64 = row.get(0)?;
            let body: String = row.get(2)?;
            let body: Body = serde_json::from_str(&body).map_err(bad)?;
            let Body { name, role, method, path, subject } = body;
            let asked = AuditRow { at_ms: row.get(1)?, name, role, method, path, subject };
            Ok(Audited { number: number.unsigned_abs(), row: asked, status: row.get(3)? })
        })
    }
}

fn bad(error: serde_json::Error) -> ControlError {
    ControlError::BadRow { table: "audit", found: error.to_string() }
}

impl Txn<'_> {
    /// Begins a row; returns its number.
    ///
    /// # Errors
    /// [`ControlError::BadRow`], [`ControlError::Sqlite`].
    pub fn begin_audit(&self, row: &AuditRow) -> Result<u64, ControlError> {
        let AuditRow { at_ms, name, role, method, path, subject } = row.clone();
        let body = serde_json::to_string(&Body { name, role, method, path, subject }).map_err(bad)?;
        let sql = "INSERT INTO audit (at_ms, body) VALUES (?1, ?2)";
        self.inner.prepare_cached(sql)?.execute(params![at_ms, body])?;
        Ok(self.inner.last_insert_rowid().unsigned_abs())
    }

    /// Ends a row with the status of the answer, and with what the request turned out to be about.
    ///
    /// # Errors
    /// [`ControlError::TooLarge`], [`ControlError::Sqlite`].
    pub fn end_audit(&self, number: u64, status: u16, subject: Option<&str>) -> Result<(), ControlError> {
        let sql = "UPDATE audit SET status = ?2, \
                   body = json_set(body, '$.subject', coalesce(?3, json_extract(body, '$.subject'))) WHERE number = ?1";
        self.inner.execute(sql, params![super::error::signed("audit", number)?, status, subject])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(path: &str) -> AuditRow {
        let [name, role, method, subject] = ["sato", "operator", "POST", ""].map(str::to_owned);
        AuditRow { at_ms: 5, name, role, method, path: path.to_owned(), subject }
    }

    #[test]
    fn a_row_is_there_from_its_beginning_and_is_listed_newest_first() {
        let mut control = Control::in_memory().unwrap();
        let txn = control.begin().unwrap();
        for path in ["/a", "/b", "/c"] {
            txn.begin_audit(&row(path)).unwrap();
        }
        txn.end_audit(2, 201, Some("zenei-1")).unwrap();
        txn.commit().unwrap();
        let shown = |before, limit| {
            let found = control.audit(before, limit).unwrap().into_iter();
            found.map(|it| (it.number, it.row.path, it.row.subject, it.status)).collect::<Vec<_>>()
        };
        let second = (2, "/b".to_owned(), "zenei-1".to_owned(), Some(201));
        assert_eq!(shown(None, 2), [(3, "/c".to_owned(), String::new(), None), second.clone()]);
        assert_eq!(shown(Some(3), 1), [second]);
    }

    #[test]
    fn a_lock_that_is_forgotten_is_in_no_row() {
        let mut control = Control::in_memory().unwrap();
        let txn = control.begin().unwrap();
        txn.begin_audit(&AuditRow { subject: "BL1".to_owned(), ..row("/api/v1/locks/BL1/x") }).unwrap();
        txn.begin_audit(&row("/api/v1/locks/BL10/x")).unwrap();
        txn.commit().unwrap();
        assert_eq!(control.count_naming("BL1").unwrap(), 1);
        let txn = control.begin().unwrap();
        assert_eq!(txn.erase("BL1").unwrap(), 1);
        txn.commit().unwrap();
        assert_eq!(control.count_naming("BL1").unwrap(), 0);
        let paths: Vec<String> = control.audit(None, 9).unwrap().into_iter().map(|it| it.row.path).collect();
        assert_eq!(paths, ["/api/v1/locks/BL10/x", "/api/v1/locks/forgotten/x"]);
    }
}
