//! Why a history can't be read or kept. Must not know what is asked. Called by both sources.
use std::path::PathBuf;

/// Why a history can't be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// SQLite's error.
    #[error(
        "the history in {path} failed; it is derived from the store: stop zenei and remove it, and it is made anew"
    )]
    Local {
        /// The file.
        path: PathBuf,
        /// SQLite's error.
        #[source]
        source: rusqlite::Error,
    },
    /// A row that this program can't have written.
    #[error(
        "a row of {table} in {path} can't be read; the history is derived from the store: stop zenei and remove it"
    )]
    Row {
        /// The file.
        path: PathBuf,
        /// The table.
        table: &'static str,
    },
    /// The ranges that it is derived from can't be read.
    #[error("the store that the history is derived from can't be read")]
    Store(#[from] crate::parquet::ReadError),
    /// The server's error, or it can't be reached.
    #[error("ClickHouse did not answer what was asked of the history")]
    Remote(#[from] crate::clickhouse::ServerError),
    /// The disk's error.
    #[error("the history in {path} can't be cleared")]
    Disk {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// A place in a list that no page of this list gave.
    #[error("no page of this list goes on at '{found}': ask for the first page again")]
    Cursor {
        /// The text, at most 80 characters of it.
        found: String,
    },
}
