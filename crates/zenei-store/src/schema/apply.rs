//! Brings a server's tables up to date: applies every missing migration once, in order. It may be interrupted and run
//! again: a statement changes nothing if its table exists. Must not know rows. Called by `zenei schema apply` and by
//! the thread that ships, at start.
use super::{ACCESS, Form, MIGRATIONS, Migration, RETENTION, digest, first_statements, statements};
use crate::clickhouse::{Server, ServerError};
use serde::Deserialize;
use zenei_wire::Id;

/// The version under which the server stores the retention that was applied.
const RETENTION_VERSION: u32 = 0;

/// The changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Versions that were missing.
    pub migrations: Vec<u32>,
    /// Whether the retention in days was set.
    pub retention: bool,
    /// Why the roles could not be created; `None` if they exist. Tables work without them.
    pub no_roles: Option<String>,
}

/// Why the tables are not up to date. Migrations that were applied before stay.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A migration that was applied is not the one in this program.
    #[error(
        "migration {version} ({name}) was applied with the digest {found}; this program has {expected}. An applied migration never changes: use \
         the program that applied it, or a new database"
    )]
    Changed {
        /// Its number.
        version: u32,
        /// Its name in this program.
        name: &'static str,
        /// The server's digest.
        found: String,
        /// This program's digest.
        expected: Id,
    },
    /// The database was migrated by a newer program.
    #[error("the database has migration {found}; this program knows {allowed}: use the newer one")]
    Newer {
        /// The highest version that the server has.
        found: u32,
        /// This program's highest version.
        allowed: usize,
    },
    /// A statement failed.
    #[error("the statement beginning '{statement}' failed")]
    Statement {
        /// Its first line.
        statement: String,
        /// The server's error.
        #[source]
        source: ServerError,
    },
}

#[derive(Deserialize)]
struct Kept {
    version: u32,
    digest: String,
}

/// Brings the tables up to date.
///
/// # Errors
/// See [`ApplyError`].
pub fn apply(server: &Server, form: &Form) -> Result<Applied, ApplyError> {
    run(server, &first_statements(form))?;
    let kept = kept(server, form)?;
    let newest = kept.iter().map(|kept| kept.version).max().unwrap_or(0);
    if newest as usize > MIGRATIONS.len() {
        return Err(ApplyError::Newer { found: newest, allowed: MIGRATIONS.len() });
    }
    // All are compared before any is run.
    let mut missing = Vec::new();
    for migration in &MIGRATIONS {
        let expected = digest(migration);
        match kept.iter().find(|kept| kept.version == migration.version) {
            None => missing.push(migration),
            Some(kept) if kept.digest == expected.to_string() => {}
            Some(Kept { version, digest }) => {
                let (version, name, found) = (*version, migration.name, digest.clone());
                return Err(ApplyError::Changed { version, name, found, expected });
            }
        }
    }
    let mut applied = Applied::default();
    for migration in missing {
        run(server, &statements(form, &migration.text()))?;
        let Migration { version, name, .. } = *migration;
        keep(server, form, version, name, &digest(migration).to_string())?;
        applied.migrations.push(version);
    }
    let days = statements(form, RETENTION);
    let wanted = Id::of(&days.iter().map(|statement| statement.as_bytes()).collect::<Vec<_>>()).to_string();
    let present = kept.iter().find(|kept| kept.version == RETENTION_VERSION);
    if present.is_none_or(|kept| kept.digest != wanted) {
        run(server, &days)?;
        keep(server, form, RETENTION_VERSION, "retention", &wanted)?;
        applied.retention = true;
    }
    applied.no_roles = run(server, &statements(form, ACCESS)).err().map(|error| match error {
        ApplyError::Statement { source, .. } => source.to_string(),
        other @ (ApplyError::Changed { .. } | ApplyError::Newer { .. }) => other.to_string(),
    });
    Ok(applied)
}

fn run(server: &Server, statements: &[String]) -> Result<(), ApplyError> {
    statements.iter().try_for_each(|statement| {
        let failed = |source| ApplyError::Statement { statement: first_line(statement), source };
        server.execute(statement, &[]).map_err(failed)
    })
}

/// The newest row of each version.
fn kept(server: &Server, form: &Form) -> Result<Vec<Kept>, ApplyError> {
    let table = form.table("zenei_migration");
    let sql = format!("SELECT version, argMax(digest, at) AS digest FROM {table} GROUP BY version");
    server.lines(&sql, &[]).map_err(|source| ApplyError::Statement { statement: first_line(&sql), source })
}

fn keep(server: &Server, form: &Form, version: u32, name: &str, digest: &str) -> Result<(), ApplyError> {
    let table = form.table("zenei_migration");
    let sql = format!(
        "INSERT INTO {table} (version, name, digest) SELECT {{version:UInt32}}, {{name:String}}, {{digest:String}}"
    );
    let version = version.to_string();
    let params = [("version", version.as_str()), ("name", name), ("digest", digest)];
    server.execute(&sql, &params).map_err(|source| ApplyError::Statement { statement: first_line(&sql), source })
}

fn first_line(statement: &str) -> String {
    statement.lines().find(|line| !line.starts_with("--")).unwrap_or("").chars().take(100).collect()
}
